"""Scenario 8: the memory of one function over a hundred thousand requests of every kind."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from tests.bench import load
from tests.bench.cpu import memory_bytes
from tests.bench.measure import Progress, Report
from tests.bench.scenarios.refusals import sold_out_drop
from tests.bench.size import Size
from tests.bench.stack import Server, Stack

NAME = "memory"
TITLE = "Memory of one function"
GROWTH_MOST = 1.05
PORTIONS = 20
CONNECTIONS = 16


def run(stack: Stack, size: Size, progress: Progress) -> Report:
    report = Report(NAME, TITLE)
    share = size.memory_requests // PORTIONS // 4
    sold_out = sold_out_drop(stack)
    megabytes = []
    with stack.server() as server:
        for portion in range(PORTIONS):
            for request in _requests(stack, server, sold_out, share):
                request()
            megabytes.append(memory_bytes(server.pid) / 1e6)
            progress(f"{(portion + 1) * share * 4:,} requests: {megabytes[-1]:.1f} MB")
    # Pools and caches fill in the first fifth.
    settled = megabytes[PORTIONS // 5 :]
    quarter = len(settled) // 4
    first, last = settled[:quarter], settled[-quarter:]
    report.figure("after a fifth of the requests", "MB", first)
    report.figure("at the end", "MB", last)
    report.at_most(
        "memory at the end : after a fifth", GROWTH_MOST, [statistics.median(last)], [statistics.median(first)]
    )
    report.data["megabytes"] = megabytes
    report.data["requests"] = share * 4 * PORTIONS
    report.notes.append(f"{share * 4 * PORTIONS:,} requests: holds, refusals, reads and invalid ones, a quarter each")
    return report


def _requests(stack: Stack, server: Server, sold_out: int, count: int) -> list[Callable[[], load.Crowd]]:
    def crowd(path: str, expect: int, method: str = "POST", body: str = '{"userId":N}') -> Callable[[], load.Crowd]:
        return lambda: load.run(
            server.url, path, count=count, connections=CONNECTIONS, method=method, body=body, expect=(expect,)
        )

    return [
        crowd(f"/api/reserve/{stack.make_drop(max(count, 1))}", 201),
        crowd(f"/api/reserve/{sold_out}", 409),
        crowd(f"/api/drops/{sold_out}", 200, "GET"),
        crowd(f"/api/reserve/{sold_out}", 422, body='{"userId":"N"}'),
    ]
