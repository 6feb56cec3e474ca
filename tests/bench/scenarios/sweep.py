"""Scenario 5: a whole season of holds falls due at once while buyers go on; and how late a hold expires."""

from __future__ import annotations

import threading
import urllib.request

from dev.ports import wait_until
from tests.bench import load
from tests.bench.load import Crowd
from tests.bench.measure import Progress, Report, interleave, percentile
from tests.bench.size import Size
from tests.bench.stack import Server, Stack

NAME = "sweep"
TITLE = "Sweep"
EXPIRED_PER_SECOND = 20_000.0
P99_TIMES_USUAL = 2.0
LATEST_SECONDS = 1.0
SECRET = "bench"
CONNECTIONS = 16
# Short, and called again and again, since other scenarios' holds are live all the time.
BUDGET_SECONDS = 3
PATIENCE_SECONDS = 15.0
GIVE_UP_SECONDS = 120

# Holds of the last users, each in a stripe of its drop; %(spread)s seconds after %(first)s seconds from now.
DUE = """
with made as (
  insert into reservations (user_id, drop_id, size, stripe, status, expires_at, created_at)
  select %(users)s - n / %(drops)s, d.id, '', n / %(drops)s %% z.stripes, 'ACTIVE',
         clock_timestamp() + make_interval(secs => %(first)s + %(spread)s * random()),
         clock_timestamp() - interval '1 day'
  from generate_series(0, %(holds)s - 1) n
  join unnest(%(ids)s::bigint[]) with ordinality d (id, place) on d.place = 1 + n %% %(drops)s
  join drop_sizes z on z.drop_id = d.id
  returning drop_id, stripe
)
update stock_stripes s set available = s.available - m.units
from (select drop_id, stripe, count(*) as units from made group by 1, 2) m
where s.drop_id = m.drop_id and s.stripe = m.stripe
"""


def run(stack: Stack, size: Size, progress: Progress) -> Report:
    report = Report(NAME, TITLE)
    settings = {"CRON_SECRET": SECRET, "SWEEP_BUDGET_SECONDS": str(BUDGET_SECONDS)}
    # Two processes, as on the platform: the sweep has a function of its own.
    with stack.server(**settings) as server, stack.server(**settings) as sweeper:
        _storm(stack, size, progress, report, server, sweeper)
        _lateness(stack, size, progress, report, sweeper)
    report.notes.append(
        f"{size.due_holds:,} due holds over {size.due_drops} drops; buyers reserve in another drop over {CONNECTIONS} "
        "connections; the sweep runs in a process of its own"
    )
    return report


def make_due(stack: Stack, drops: list[int], holds: int, first_seconds: float, spread_seconds: float) -> None:
    """`holds` live holds over these drops, due from `first_seconds` from now on; the stock is taken accordingly."""
    values = {"users": stack.users, "holds": holds, "drops": len(drops), "ids": drops}
    with stack.connect() as connection:
        connection.execute(DUE, {**values, "first": first_seconds, "spread": spread_seconds})


def _storm(stack: Stack, size: Size, progress: Progress, report: Report, server: Server, sweeper: Server) -> None:
    rates: list[float] = []
    count = max(size.requests // 2, 20)

    def crowd() -> Crowd:
        drop_id = stack.make_drop(count)
        return load.run(server.url, f"/api/reserve/{drop_id}", count=count, connections=CONNECTIONS, expect=(201,))

    def sweeping() -> Crowd:
        # A unit more in each stripe than is held, as in a drop that is still on sale.
        drops = [stack.make_drop(2 * size.due_holds // size.due_drops) for _ in range(size.due_drops)]
        make_due(stack, drops, size.due_holds, -1.0, 0.0)
        began = stack.value("select clock_timestamp()")
        with Clock(sweeper):
            done = crowd()
            rates.append(_expired_a_second(stack, drops, began))
        # What a slow sweep has left must not stand in the next round's way.
        while stack.value("select expired from expire_due(10000)"):
            pass
        return done

    progress("warming up")
    crowd()
    found = interleave({"usual": crowd, "while sweeping": sweeping}, size.http_rounds, progress)
    expired = report.figure("holds expired", "/s", rates)
    report.at_least("holds expired a second : 20,000", 1.0, expired, [EXPIRED_PER_SECOND])
    p99 = {}
    for name, crowds in found.items():
        report.figure(f"reserve, {name}", "/s", [done.per_second for done in crowds])
        report.figure(f"reserve, {name}, p50", "ms", [done.p50 for done in crowds])
        p99[name] = report.figure(f"reserve, {name}, p99", "ms", [done.p99 for done in crowds])
    report.at_most("reserve p99, while sweeping : usual", P99_TIMES_USUAL, p99["while sweeping"], p99["usual"])


def _expired_a_second(stack: Stack, drops: list[int], began: object) -> float:
    """Wait until nothing of these drops is live, or long enough; how many expired a second from `began` on."""
    live = "select count(*) from reservations where drop_id = any (%s) and status = 'ACTIVE'"
    wait_until(lambda: stack.value(live, [drops]) == 0, PATIENCE_SECONDS, 0.2)
    query = """
        select count(*) / extract(epoch from max(closed_at) - %s)::float8
        from reservations where drop_id = any (%s) and status = 'EXPIRED'
    """
    return float(stack.value(query, [began, drops]))


class Clock:
    """Calls the sweep's door again and again, as the platform's clock does, until the block ends."""

    def __init__(self, sweeper: Server) -> None:
        self._request = urllib.request.Request(
            f"{sweeper.url}/api/cron/reap", headers={"Authorization": f"Bearer {SECRET}"}
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stopped.is_set():
            with urllib.request.urlopen(self._request, timeout=GIVE_UP_SECONDS) as answer:
                answer.read()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()


def _lateness(stack: Stack, size: Size, progress: Progress, report: Report, sweeper: Server) -> None:
    progress("how late a hold expires")
    drop_id = stack.make_drop(size.timed_holds * 2)
    make_due(stack, [drop_id], size.timed_holds, 0.5, size.timed_seconds)
    live = "select count(*) from reservations where drop_id = %s and status = 'ACTIVE'"
    with Clock(sweeper):
        wait_until(lambda: stack.value(live, [drop_id]) == 0, GIVE_UP_SECONDS, 0.2)
    with stack.connect() as connection:
        rows = connection.execute(
            "select extract(epoch from closed_at - expires_at)::float8 from reservations where drop_id = %s", [drop_id]
        ).fetchall()
    late = [row[0] for row in rows]
    assert min(late) >= 0, "a hold expired before its deadline"
    for share, name in ((0.5, "p50"), (0.99, "p99"), (1.0, "latest")):
        report.figure(f"expired after the deadline, {name}", "s", [percentile(late, share)])
    report.at_most("latest expiry after its deadline : 1 s", LATEST_SECONDS, [max(late)], [1.0])
    report.data["late_seconds"] = sorted(round(value, 4) for value in late)
