"""Scenario 7: processor time of each request, by process and, within the function, by part."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bench import load
from tests.bench.cpu import tree_seconds
from tests.bench.measure import Progress, Report
from tests.bench.profile import NOT_SAMPLED, sampled
from tests.bench.scenarios.purchases import make_holds
from tests.bench.scenarios.refusals import sold_out_drop
from tests.bench.size import Size
from tests.bench.stack import Server, Stack

NAME = "cpu_parts"
TITLE = "Processor time of a request"
CONNECTIONS = 16
ROUNDS = 2


@dataclass(slots=True)
class Cost:
    """Processor milliseconds a request by process; database wait a request as the function sees it."""

    function: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)
    pooler: list[float] = field(default_factory=list)
    channel: list[float] = field(default_factory=list)
    samples: Counter[str] = field(default_factory=Counter)


def run(stack: Stack, size: Size, progress: Progress) -> Report:
    report = Report(NAME, TITLE)
    # Processor time is steady: fewer requests than where the clock on the wall counts.
    count = size.requests // 2
    sold_out = sold_out_drop(stack)
    with stack.server() as server:

        def crowd(path: str, method: str = "POST", path_first: int = 0, expect: int = 201) -> None:
            load.run(
                server.url, path, count=count, connections=CONNECTIONS, method=method, path_first=path_first,
                expect=(expect,),
            )  # fmt: skip

        def prepared() -> dict[str, Callable[[], None]]:
            """What to measure; what it stands on is made before, so that it is not in the figures."""
            drop_id, (_, hold) = stack.make_drop(count), make_holds(stack, count)
            return {
                "bare": lambda: crowd("/bare", "GET", expect=200),
                "reserve": lambda: crowd(f"/api/reserve/{drop_id}"),
                "refusal": lambda: crowd(f"/api/reserve/{sold_out}", expect=409),
                "purchase": lambda: crowd("/api/purchase/M", path_first=hold),
                "drop": lambda: crowd(f"/api/drops/{sold_out}", "GET", expect=200),
            }

        for name, request in prepared().items():
            progress(f"warming up: {name}")
            request()
        costs: dict[str, Cost] = {}
        for number in range(ROUNDS):
            for name, request in prepared().items():
                progress(f"round {number + 1} of {ROUNDS}: {name}")
                _count(stack, server, costs.setdefault(name, Cost()), request, count)
        for name, request in prepared().items():
            progress(f"profile: {name}")
            with sampled(server, stack.folder / f"profile-{name}.txt") as samples:
                request()
            costs[name].samples = samples
        waits = _database_waits(server)
    for name, cost in costs.items():
        _report(report, name, cost)
    report.data["database_wait_ms"] = waits
    for name, wait in waits.items():
        report.figure(f"{name}: waits for the database, {CONNECTIONS} connections", "ms", [wait])
    report.notes.append("processor time from the system's books; parts by py-spy's samples of the busy server")
    if not any(cost.samples for cost in costs.values()):
        report.notes.append(f"parts {NOT_SAMPLED}")
    report.notes.append("database: calling it; what Postgres and PgBouncer do is their own line")
    return report


def _count(stack: Stack, server: Server, cost: Cost, request: Callable[[], None], count: int) -> None:
    processes = {
        "function": server.pid,
        "postgres": stack.postgres.pid,
        "pooler": stack.pgbouncer.pid,
        "channel": stack.soketi.pid,
    }
    before = {name: tree_seconds(pid) for name, pid in processes.items()}
    request()
    for name, pid in processes.items():
        getattr(cost, name).append((tree_seconds(pid) - before[name]) * 1000 / count)


def _report(report: Report, name: str, cost: Cost) -> None:
    for process in ("function", "postgres", "pooler", "channel"):
        report.figure(f"{name}: {process}", "ms", getattr(cost, process))
    total = sum(cost.samples.values())
    milliseconds = statistics.median(cost.function)
    parts = {part: count / total * milliseconds for part, count in cost.samples.most_common()} if total else {}
    for part, spent in parts.items():
        report.figure(f"{name}: function, {part}", "ms", [spent])
    report.data[name] = {
        "parts_ms": parts,
        "samples": total,
        **{f"{p}_ms": statistics.median(getattr(cost, p)) for p in ("function", "postgres", "pooler", "channel")},
    }


def _database_waits(server: Server) -> dict[str, float]:
    """Mean time that requests waited for the database, from the functions' own log, by route."""
    waits: dict[str, list[float]] = {}
    for line in server.log.read_text().splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            if entry.get("event") == "http.request":
                waits.setdefault(entry["path"].split("/")[2], []).append(entry["databaseMs"])
    return {name: statistics.fmean(found) for name, found in waits.items()}
