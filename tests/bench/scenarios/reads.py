"""Scenario 4, second part: what viewers ask for, in an old shop and in a young one."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from functools import partial

from tests.bench import load, pgbench, shop
from tests.bench.cpu import TICK_SECONDS, tree_seconds
from tests.bench.measure import Progress, Report, interleave
from tests.bench.shop import Shop
from tests.bench.size import Size
from tests.bench.stack import Server, Stack

NAME = "reads"
TITLE = "Reading as the shop grows"
TIMES_YOUNG = 1.2
CONNECTIONS = 16
# Processor time is counted in ticks of 10 ms.
FEWEST_REQUESTS = 200
KINDS = ("list", "drop")


def run(stack: Stack, size: Size, progress: Progress) -> Report:
    report = Report(NAME, TITLE)
    old = shop.make(stack, "shop_old", size.shop_share, progress)
    young = shop.make(stack, "shop_young", size.shop_share / 100, progress)
    report.notes.append(f"old: {old.words}; young: {young.words}; {size.shop_share:.0%} of the full size (SIZE=full)")
    report.notes.append(
        "cost: processor time of Postgres (SQL), or of function, pooler and Postgres (HTTP), for each answer"
    )
    report.notes.append("one drop has half of all reservations and purchases, and 100 live holds in both shops")
    _sql(stack, size, progress, report, old, young)
    with (
        stack.server(stack.pgbouncer.url(old.database)) as old_server,
        stack.server(stack.pgbouncer.url(young.database)) as young_server,
    ):
        _http(stack, size, progress, report, (old_server, old), (young_server, young))
    return report


def _sql(stack: Stack, size: Size, progress: Progress, report: Report, old: Shop, young: Shop) -> None:
    scripts = {"list": "list_drops", "drop": "get_drop"}

    def cost_ms(kind: str, where: Shop) -> float:
        before = tree_seconds(stack.postgres.pid)
        run = pgbench.run(stack, scripts[kind], where.hot_drop, 1, size, where.database)
        return max(TICK_SECONDS, tree_seconds(stack.postgres.pid) - before) * 1000 / run.processed

    subjects = {
        f"{kind}, {age}": partial(cost_ms, kind, where)
        for kind in KINDS
        for age, where in (("old", old), ("young", young))
    }
    found = interleave(subjects, size.rounds, lambda text: progress(f"SQL, {text}"))
    for name, samples in found.items():
        report.figure(f"{name}, SQL", "ms", samples)
    for kind in KINDS:
        name = f"{kind}, SQL: cost old : young"
        report.at_most(name, TIMES_YOUNG, found[f"{kind}, old"], found[f"{kind}, young"])


def _http(
    stack: Stack,
    size: Size,
    progress: Progress,
    report: Report,
    old: tuple[Server, Shop],
    young: tuple[Server, Shop],
) -> None:
    count = max(size.requests // 4, FEWEST_REQUESTS)
    subjects: dict[str, Callable[[], float]] = {}
    for age, (server, where) in (("old", old), ("young", young)):
        for kind, path in (("list", "/api/drops"), ("drop", f"/api/drops/{where.hot_drop}")):
            subjects[f"{kind}, {age}"] = partial(_cost_ms, stack, server, path, count)
            if age == "old":
                tag = etag(server.url + path)
                again = partial(_cost_ms, stack, server, path, count, (f"If-None-Match: {tag}",), 304)
                subjects[f"{kind}, {age}, 304"] = again
    for name, subject in subjects.items():
        progress(f"HTTP, warming up: {name}")
        subject()
    found = interleave(subjects, size.http_rounds, lambda text: progress(f"HTTP, {text}"))
    for name, samples in found.items():
        report.figure(f"{name}, HTTP", "ms", samples)
    for kind in KINDS:
        cost = found[f"{kind}, old"]
        report.at_most(f"{kind}, HTTP: cost old : young", TIMES_YOUNG, cost, found[f"{kind}, young"])
        report.at_most(f"{kind}, HTTP: cost 304 : 200", 1.0, found[f"{kind}, old, 304"], cost)


def _cost_ms(
    stack: Stack, server: Server, path: str, count: int, headers: tuple[str, ...] = (), status: int = 200
) -> float:
    """Milliseconds of processor time of function, pooler and Postgres for each answer."""

    def spent() -> float:
        return sum(tree_seconds(pid) for pid in (server.pid, stack.pgbouncer.pid, stack.postgres.pid))

    before = spent()
    load.run(server.url, path, count=count, connections=CONNECTIONS, method="GET", headers=headers, expect=(status,))
    return max(TICK_SECONDS, spent() - before) * 1000 / count


def etag(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        tag = answer.headers["ETag"]
        assert tag, f"{url} has no ETag"
        return str(tag)
