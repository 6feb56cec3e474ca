"""The promises under everything at once: a state machine of the whole shop against a model of it (tests/properties)."""

import pytest
from hypothesis import HealthCheck, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.machine import Machine
from tests.properties.wire import Wire
from tests.properties.world import world

EXAMPLES = int(__import__("os").environ.get("EX", "80"))
STEPS = 40


@pytest.mark.slow
@pytest.mark.xdist_group("heavy")
def test_every_promise_holds_after_every_step_of_any_history(database, configure):
    with world(database, configure, Wire()) as shared:
        bound = type("Bound", (Machine,), {"world": shared})
        run_state_machine_as_test(
            bound,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                derandomize=True,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
                verbosity=Verbosity.normal,
            ),
        )
    print(sorted(shared.seen.items()))
