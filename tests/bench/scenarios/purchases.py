"""Scenario 4, first part: a crowd buys what it holds."""

from __future__ import annotations

from tests.bench import load
from tests.bench.load import Crowd
from tests.bench.measure import Progress, Report, interleave
from tests.bench.size import Size
from tests.bench.stack import Stack

NAME = "purchases"
TITLE = "Purchases over HTTP"
TIMES_BARE = 0.7


def run(stack: Stack, size: Size, progress: Progress) -> Report:
    report = Report(NAME, TITLE)
    connections, holds = size.http_connections, size.drain_units
    with stack.server() as server:

        def purchase() -> Crowd:
            drop_id, first_hold = make_holds(stack, holds)
            done = load.run(
                server.url,
                "/api/purchase/M",
                count=holds,
                connections=connections,
                path_first=first_hold,
                expect=(201,),
            )
            bought = stack.value("select count(*) from purchases where drop_id = %s", [drop_id])
            assert bought == holds, f"{bought} purchases of {holds} holds"
            return done

        def bare() -> Crowd:
            return load.run(server.url, "/bare", count=size.requests, connections=connections, method="GET")

        progress("warming up")
        bare()
        purchase()
        found = interleave({"bare": bare, "purchase": purchase}, size.http_rounds, progress)
    for name, crowds in found.items():
        report.figure(name, "/s", [done.per_second for done in crowds])
        report.figure(f"{name}, p50", "ms", [done.p50 for done in crowds])
        report.figure(f"{name}, p99", "ms", [done.p99 for done in crowds])
        report.data[name] = {"latency_ms": [done.latency_ms for done in crowds]}
    rates = {name: [done.per_second for done in crowds] for name, crowds in found.items()}
    report.at_least("purchase : bare", TIMES_BARE, rates["purchase"], rates["bare"])
    report.notes.append(f"{holds:,} holds of one drop, as many buyers, {connections} connections")
    return report


def make_holds(stack: Stack, count: int) -> tuple[int, int]:
    """A drop all of whose units users 1 to `count` hold, and the id of user 1's hold; the others follow in order."""
    drop_id = stack.make_drop(count)
    with stack.connect() as connection:
        # Each in a transaction of its own, as buyers do it: in one, the stripes' old rows could not be cleared away.
        connection.execute("set synchronous_commit = off")
        connection.execute(
            f"do $$ begin for n in 1..{count} loop perform reserve({drop_id}, n, null); commit; end loop; end $$"
        )
    first, last, users = (
        stack.value(f"select {what} from reservations where drop_id = %s", [drop_id])
        for what in ("min(id)", "max(id)", "count(distinct id - user_id)")
    )
    assert last - first + 1 == count and users == 1
    return drop_id, first
