"""make simulate, in small: the model keeps stock, repeats itself by its seed, and follows from its inputs."""

import dataclasses
from typing import Any

import pytest

from tests.bench.simulation import inputs, outcome, tables, validate
from tests.bench.simulation.crowds import Circle, Opening
from tests.bench.simulation.inputs import Crowd, Measured, Platform, Service
from tests.bench.simulation.model import Model
from tests.bench.simulation.stations import Station, Stock

MEASURED = Measured(
    {
        "reserve": Service(1.0, 0.2, 0.02, 0.0),
        "refusal": Service(0.8, 0.1, 0.02, 0.0),
        "purchase": Service(1.2, 0.25, 0.02, 0.0),
    },
    commit_ms=0.3,
)
INPUTS = inputs.load_inputs()
SEED = 1


def small_crowd(**changes: Any) -> Crowd:
    return inputs.crowd(INPUTS, **{"buyers": 3_000, **changes})


def simulate(units: int, crowd: Crowd, seed: int = SEED, **platform: Any) -> outcome.Outcome:
    return outcome.run(inputs.platform(INPUTS, **platform), crowd, MEASURED, INPUTS["prices"], units, seed)


def test_a_station_serves_in_order_and_by_all_its_servers() -> None:
    station = Station(2)
    assert [station.serve(at, 1.0) for at in (0.0, 0.0, 0.0, 5.0)] == [1.0, 1.0, 2.0, 6.0]
    assert station.longest_queue == 1
    assert station.busy_seconds == 4.0


def test_stock_passes_over_locked_stripes_and_never_sells_a_unit_twice() -> None:
    stock = Stock(8)  # two stripes of four units
    first = stock.take(0.0, now=0.0)
    assert first == 0
    stock.lock(first, until=1.0)
    assert [stock.take(0.0, now=0.5) for _ in range(4)] == [1, 1, 1, 1]
    assert stock.take(0.0, now=0.5) is None and stock.left == 3
    assert [stock.take(0.0, now=1.0) for _ in range(4)] == [0, 0, 0, None]


@pytest.mark.parametrize("units", [7, 400])
def test_every_unit_is_sold_once_or_free_again_at_the_end(units: int) -> None:
    model = Model(inputs.platform(INPUTS), MEASURED, units, SEED)
    Opening(model, small_crowd())
    model.env.run()
    assert model.stock.left + len(model.tally.purchases) == units
    assert model.tally.count("ok") >= len(model.tally.purchases) > 0
    assert all(instance.in_flight == 0 for instance in model.instances)


def test_the_same_seed_gives_the_same_drop_and_another_seed_another() -> None:
    crowd = small_crowd()
    assert simulate(50, crowd) == simulate(50, crowd)
    assert simulate(50, crowd).counts != simulate(50, crowd, seed=SEED + 1).counts


def test_a_closed_circle_runs_at_the_rate_of_its_slowest_part() -> None:
    platform = validate.this_machine(MEASURED, connections=16, cores=2)
    model = Model(platform, MEASURED, 2_000, SEED)
    Circle(model, 2_000, 16)
    model.env.run()
    assert model.tally.count("ok") == 2_000
    # One process, 1 ms for each request.
    assert 2_000 / model.tally.last_answer == pytest.approx(1_000, rel=0.05)


def test_a_prediction_is_held_to_a_quarter() -> None:
    check = validate.Check("rate", "/s", 124.0, 100.0, True)
    assert check.is_met and not dataclasses.replace(check, predicted=126.0).is_met
    assert not dataclasses.replace(check, predicted=74.0).is_met


def test_a_database_that_is_too_small_answers_busy_and_a_larger_one_does_not() -> None:
    crowd = small_crowd(buyers=5_000, spike_share=1.0, spike_seconds=0.1)
    platform = {"instances_at_start": 500, "database_timeout_ms": 200.0}
    small = simulate(100, crowd, database_cores=1, **platform)
    large = simulate(100, crowd, database_cores=16, **platform)
    assert small.counts["busy"] > 0 and small.database_queue > large.database_queue
    assert large.counts["busy"] == 0


def test_warm_instances_save_cold_starts() -> None:
    crowd = small_crowd(spike_seconds=0.2)
    assert simulate(50, crowd).cold_starts > 0
    assert simulate(50, crowd, instances_at_start=500).cold_starts == 0


def test_messages_are_billed_as_publishes_times_viewers_and_one() -> None:
    crowd = small_crowd(buyers=1, spike_share=1.0, buys_share=1.0, watches_seconds=600.0)
    found = simulate(1, crowd)
    # One hold and one purchase, both seen by the only viewer.
    assert (found.messages.published, found.messages.billed) == (2, 4)


def test_lambda_takes_one_request_a_process_and_has_prices_of_its_own() -> None:
    crowd = small_crowd(spike_seconds=0.2)
    vercel, aws = simulate(50, crowd), simulate(50, crowd, **INPUTS["lambda"])
    assert aws.instances > vercel.instances
    assert aws.cost["functions"] != vercel.cost["functions"] > 0


def test_every_assumption_stands_in_the_input_file() -> None:
    assert set(INPUTS["platform"]) == {field.name for field in dataclasses.fields(Platform)}
    assert set(INPUTS["crowd"]) == {field.name for field in dataclasses.fields(Crowd)}
    assert all(
        INPUTS["prices"][name]["source"].startswith("https://") for name in ("vercel", "lambda", "neon", "pusher")
    )


def test_the_table_has_a_row_for_each_figure() -> None:
    table = tables.as_markdown({"50 units": simulate(50, small_crowd(buyers=300))})
    assert table.count("\n") == len(tables.ROWS) + 1
