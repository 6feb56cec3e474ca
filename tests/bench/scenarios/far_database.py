"""Scenario 3, second part: the database is far away. Who asks once waits once; the classic way asks five times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import psycopg

from tests.bench import load, pgbench
from tests.bench.measure import Progress, Report, interleave
from tests.bench.relay import relayed
from tests.bench.size import Size
from tests.bench.stack import Stack

NAME = "far_database"
TITLE = "Reserve with a far database"
ROUND_TRIPS_MS = (2.0, 10.0)
TIMES_ROUND_TRIP = 1.3
UNITS = 10_000


def run(stack: Stack, size: Size, progress: Progress) -> Report:
    report = Report(NAME, TITLE)
    for round_trip_ms in ROUND_TRIPS_MS:
        _measure(stack, size, progress, report, round_trip_ms)
    report.notes.append("one buyer at a time: latency is the way and the work, not a queue; p50 of each round")
    report.notes.append("a relay between the functions and PgBouncer delays each direction by half of the round trip")
    return report


def _measure(stack: Stack, size: Size, progress: Progress, report: Report, round_trip_ms: float) -> None:
    words = f"{round_trip_ms:.0f} ms away"
    count = max(20, size.requests // 20)
    with relayed(stack.pgbouncer.port, round_trip_ms) as port:
        far_url = stack.pooled_url.replace(f":{stack.pgbouncer.port}/", f":{port}/")
        with stack.server(far_url) as server:
            one = partial(load.run, server.url, count=count, connections=1)
            subjects: dict[str, Callable[[], float]] = {
                "round trip": lambda: _round_trip_ms(far_url, count),
                "commit": lambda: pgbench.run(stack, "floor", 0, 1, size).latency_ms,
                "bare": lambda: one("/bare", method="GET").p50,
                "reserve": lambda: one(f"/api/reserve/{stack.make_drop(UNITS)}", expect=(201,)).p50,
                "classic": lambda: one(f"/classic/{stack.make_drop(UNITS)}", expect=(201,)).p50,
            }
            for name in ("bare", "reserve", "classic"):
                progress(f"{words}, warming up: {name}")
                subjects[name]()
            found = interleave(subjects, size.http_rounds, lambda text: progress(f"{words}, {text}"))
    for name, samples in found.items():
        report.figure(f"{name}, {words}", "ms", samples)
    trip_and_commit = [trip + commit for trip, commit in zip(found["round trip"], found["commit"], strict=True)]
    bare_and_commit = [bare + commit for bare, commit in zip(found["bare"], found["commit"], strict=True)]
    name = f"reserve : round trip + commit, {words}"
    report.at_most(name, TIMES_ROUND_TRIP, found["reserve"], trip_and_commit)
    name = f"reserve : bare (one round trip) + commit, {words}"
    report.at_most(name, TIMES_ROUND_TRIP, found["reserve"], bare_and_commit)
    trips = [classic / trip for classic, trip in zip(found["classic"], found["round trip"], strict=True)]
    report.figure(f"classic : round trip, {words}", "times", trips)


def _round_trip_ms(url: str, count: int) -> float:
    """The median of the least that a driver can do over this way."""
    times = []
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        for _ in range(count):
            began = time.perf_counter()
            connection.execute("select 1")
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000
