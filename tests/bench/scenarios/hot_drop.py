"""Scenario 1: everybody reserves in one drop, in SQL alone, beside the classic transaction and a plain insert."""

from __future__ import annotations

from functools import partial

from tests.bench import pgbench
from tests.bench.disk import REMEDY, can_slow_commits, slow_commits
from tests.bench.measure import Progress, Report, interleave
from tests.bench.size import Size
from tests.bench.stack import Stack

NAME = "hot_drop"
TITLE = "Hot drop in SQL"
COMMIT_MS = 2.0
UNITS = 1_000_000
SCRIPTS = {"reserve": "reserve", "classic": "classic_reserve", "floor": "floor"}
# By connections. With one there is nothing to wait for but the disk.
TIMES_CLASSIC = {"disk": {16: 4.0, 64: 4.0}, "slow": {16: 10.0, 64: 10.0}}
TIMES_FLOOR = {16: 0.6}


def run(stack: Stack, size: Size, progress: Progress) -> Report:
    report = Report(NAME, TITLE)
    _measure(stack, size, progress, report, "disk", "disk as it is")
    report.notes.append("straight on Postgres, without the pooler; one drop of 1,000,000 units, a new one each run")
    if not can_slow_commits():
        report.notes.append(f"commits of {COMMIT_MS:.0f} ms were left out: {REMEDY}")
        return report
    with slow_commits(stack, COMMIT_MS):
        _measure(stack, size, progress, report, "slow", f"commits of {COMMIT_MS:.0f} ms")
    report.notes.append("2 ms commits: each flush of the log sleeps that long first (tests/bench/slow_fsync.c)")
    return report


def _measure(stack: Stack, size: Size, progress: Progress, report: Report, disk: str, words: str) -> None:
    def rate(script: str, connections: int) -> float:
        drop_id = 0 if script == "floor" else stack.make_drop(UNITS)
        return pgbench.run(stack, script, drop_id, connections, size).per_second

    for connections in size.connections:
        if disk == "slow" and connections == 1:
            continue  # a commit at a time: nothing to learn
        where = f"{connections} connections, {words}"
        subjects = {name: partial(rate, script, connections) for name, script in SCRIPTS.items()}
        found = interleave(subjects, size.rounds, _prefixed(progress, where))
        for name, samples in found.items():
            report.figure(f"{name}, {where}", "/s", samples)
        if connections in TIMES_CLASSIC[disk]:
            bound = TIMES_CLASSIC[disk][connections]
            report.at_least(f"reserve : classic, {where}", bound, found["reserve"], found["classic"])
        if disk == "disk" and connections in TIMES_FLOOR:
            report.at_least(f"reserve : floor, {where}", TIMES_FLOOR[connections], found["reserve"], found["floor"])


def _prefixed(progress: Progress, words: str) -> Progress:
    return lambda text: progress(f"{words}, {text}")
