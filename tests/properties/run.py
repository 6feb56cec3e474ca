"""Runs the machine over a world: a number of histories, chosen by Hypothesis from a seed or always the same."""

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.machine import Machine
from tests.properties.world import World

STEPS = 40


def run(world: World, histories: int, random_seed: int | None = None, steps: int = STEPS) -> None:
    """Raises what the first history that breaks a promise raises, shortened as far as Hypothesis can.

    Without a seed the histories are the same in every run, as far as races let them.
    """
    bound: type[Machine] = type("BoundMachine", (Machine,), {"world": world})
    run_state_machine_as_test(
        bound if random_seed is None else seed(random_seed)(bound),
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            derandomize=random_seed is None,
            database=None,
            deadline=None,
            # Explaining takes hundreds of histories more, which races would make worthless.
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
