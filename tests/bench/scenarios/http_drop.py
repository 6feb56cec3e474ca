"""Scenario 3: a drop through the functions: sold to the last unit, and stormed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.bench import load
from tests.bench.load import Crowd
from tests.bench.measure import Progress, Report, Samples, interleave
from tests.bench.scenarios.refusals import sold_out_drop
from tests.bench.size import Size
from tests.bench.stack import Server, Stack

NAME = "http_drop"
TITLE = "Hot drop over HTTP"
RESERVE_TIMES_BARE = 0.75
REFUSE_TIMES_BARE = 0.85
P99_TIMES_P50 = 3.0


def run(stack: Stack, size: Size, progress: Progress) -> Report:
    report = Report(NAME, TITLE)
    with stack.server() as server:
        _crowds(stack, server, size, progress, report)
    return report


def _crowds(stack: Stack, server: Server, size: Size, progress: Progress, report: Report) -> None:
    sold_out = sold_out_drop(stack)
    connections = size.http_connections
    crowd = partial(load.run, server.url, connections=connections)

    def drain() -> Crowd:
        drop_id = stack.make_drop(size.drain_units)
        done = crowd(f"/api/reserve/{drop_id}", count=size.drain_units, expect=(201,))
        _check_held(stack, drop_id, size.drain_units)
        return done

    def storm() -> Crowd:
        drop_id = stack.make_drop(size.storm_units)
        done = crowd(f"/api/reserve/{drop_id}", count=size.storm_buyers, expect=(201, 409))
        assert done.statuses[201] == size.storm_units, done
        _check_held(stack, drop_id, size.storm_units)
        return done

    subjects: dict[str, Callable[[], Crowd]] = {
        "bare": lambda: crowd("/bare", count=size.requests, method="GET"),
        "drain": drain,
        "refusals": lambda: crowd(f"/api/reserve/{sold_out}", count=size.requests, expect=(409,)),
        "storm": storm,
        "classic": lambda: crowd(f"/classic/{stack.make_drop(10**6)}", count=size.requests // 3, expect=(201,)),
    }
    for name in ("bare", "drain", "refusals", "classic"):  # warm connections, compiled functions
        progress(f"warming up: {name}")
        subjects[name]()
    found = interleave(subjects, size.http_rounds, lambda text: progress(f"{connections} connections, {text}"))
    per_second: dict[str, Samples] = {}
    for name, crowds in found.items():
        per_second[name] = report.figure(name, "/s", [done.per_second for done in crowds])
        p50 = report.figure(f"{name}, p50", "ms", [done.p50 for done in crowds])
        p99 = report.figure(f"{name}, p99", "ms", [done.p99 for done in crowds])
        if name in ("drain", "storm"):
            report.at_most(f"{name}: p99 : p50", P99_TIMES_P50, p99, p50)
        report.data[name] = {
            "per_second": per_second[name],
            "latency_ms": [done.latency_ms for done in crowds],
            "mean_ms": [done.mean_ms for done in crowds],
        }
    report.at_least("reserve (drain) : bare", RESERVE_TIMES_BARE, per_second["drain"], per_second["bare"])
    report.at_least("refusals : bare", REFUSE_TIMES_BARE, per_second["refusals"], per_second["bare"])
    report.figures.sort(key=lambda figure: not figure.name.startswith("bare"))
    report.notes.append(
        f"drain: {size.drain_units:,} units, as many buyers; storm: {size.storm_units:,} units, {size.storm_buyers:,} "
        f"buyers; {connections} connections, one process of functions, PgBouncer, soketi, the client on the same cores"
    )


def _check_held(stack: Stack, drop_id: int, units: int) -> None:
    held = stack.value("select count(*) from reservations where drop_id = %s and status = 'ACTIVE'", [drop_id])
    assert held == units, f"{held} holds of {units} units"
