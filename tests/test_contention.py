"""Everything at once, as hard as this machine can: no deadlock, no error, no unit lost or sold twice."""

import random
import threading
import time
from collections import Counter

import pytest

from tests.support.buyers import Session, in_background, sessions, wait_until
from tests.support.database import CONSERVED

CONNECTIONS = 32
RUN_SECONDS = 30.0
USERS_EACH = 8
ALLOWED = {
    *("reserve ok", "reserve replayed", "reserve sold_out", "reserve busy", "reserve limit_reached"),
    *("purchase ok", "purchase replayed", "purchase reservation_expired", "purchase reservation_closed"),
    *("release ok", "release replayed", "release reservation_expired", "release reservation_closed"),
    *("restock ok", "restock stock_committed", "expire_due ok"),
}


class Shopper:
    """One connection that does whatever a shop's traffic does, at random, for a few users, on drops that sell out."""

    def __init__(self, session: Session, drops: list[tuple[int, str | None]], users: list[int], seed: int) -> None:
        self._session = session
        self._drops = drops
        self._users = users
        self._random = random.Random(seed)
        self._holds: list[tuple[int, int]] = []
        self.told: Counter[str] = Counter()

    def run(self, stop: threading.Event) -> Counter[str]:
        while not stop.is_set():
            self._random.choices((self._reserve, self._purchase, self._release, self._sweep, self._restock),
                                 (100, 20, 30, 10, 1))[0]()  # fmt: skip
        return self.told

    def _reserve(self) -> None:
        drop, size = self._random.choice(self._drops)
        user = self._random.choice(self._users)
        outcome, hold = self._session.reserve(drop, user, size)
        self.told[f"reserve {outcome}"] += 1
        if hold is not None:
            self._holds = [*self._holds[-20:], (hold, user)]

    def _purchase(self) -> None:
        if self._holds:
            self.told[f"purchase {self._session.purchase(*self._random.choice(self._holds))}"] += 1

    def _release(self) -> None:
        if self._holds:
            self.told[f"release {self._session.release(*self._random.choice(self._holds))}"] += 1

    def _sweep(self) -> None:
        self._session.expire_due(100)
        self.told["expire_due ok"] += 1

    def _restock(self) -> None:
        drop, size = self._random.choice(self._drops)
        # Mostly up, or everything would be bought in the first second.
        quantity = self._random.choice((-3, 10, 40))
        self.told[f"restock {self._session.restock(drop, quantity, size)}"] += 1


@pytest.mark.slow
@pytest.mark.xdist_group("heavy")
def test_a_mixed_run_at_32_connections_never_deadlocks_and_conserves(database, make_drop, make_users, configure):
    configure(RESERVE_RATE_LIMIT="0")  # a few buyers do here what thousands do
    drops: list[tuple[int, str | None]] = [
        (make_drop(stock=60, hold_seconds=1), None),
        (make_drop(stock=10, hold_seconds=1, max_per_user=2), None),
    ]
    sized = make_drop(sizes=[("8", 20), ("9", 3)], hold_seconds=1)
    drops += [(sized, "8"), (sized, "9")]
    # Every user is on two connections, so that one buyer's calls race too.
    users = make_users(CONNECTIONS * USERS_EACH // 2)
    stop = threading.Event()
    with sessions(database, CONNECTIONS, pooled=True) as opened:
        shoppers = [
            Shopper(session, drops, users[n // 2 * USERS_EACH : (n // 2 + 1) * USERS_EACH], seed=n)
            for n, session in enumerate(opened)
        ]
        runs = [in_background(lambda shopper=shopper: shopper.run(stop)) for shopper in shoppers]
        until = time.monotonic() + RUN_SECONDS
        samples = 0
        while time.monotonic() < until and not any(run.done() for run in runs):
            for drop, size, total, available, held, purchased in database.rows(CONSERVED):
                assert total == available + held + purchased, (drop, size, total, available, held, purchased)
            samples += 1
            time.sleep(0.05)
        stop.set()
        told = sum((run.result(30) for run in runs), Counter())

    assert samples > 50
    assert set(told) <= ALLOWED
    assert {"reserve ok", "reserve sold_out", "purchase ok", "release ok", "restock ok"} <= set(told)
    _nothing_is_left(database)


def _nothing_is_left(database) -> None:
    database.assert_conserved()
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    # Each server connection reports what it counted within a second of falling idle.
    active = "select count(*) from pg_stat_activity where datname = current_database() and state = 'active'"
    wait_until(lambda: database.value(active) == 1, "only this connection is active")
    time.sleep(1.5)
    assert database.value(deadlocks) == 0
    database.shift_clock(2)
    with sessions(database, 1) as (session,):
        while session.expire_due():
            pass
    assert database.value("select count(*) from reservations where status = 'ACTIVE'") == 0
    by_status = dict(database.rows("select status, count(*) from reservations group by status"))
    assert set(by_status) <= {"EXPIRED", "PURCHASED", "RELEASED"} and by_status["EXPIRED"] > 0
    database.assert_conserved()
