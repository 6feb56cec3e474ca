"""Many buyers at once, sessions that hold locks, and proof of who waits for whom."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import psycopg

from lib import db
from lib.errors import HoldfastError
from lib.settings import settings
from tests.support.database import Database

T = TypeVar("T")

# Longer than anything here takes on a busy machine; reached only if something hangs.
HANG_SECONDS = 60.0
# For tests with more threads than a function's pool would serve in a request's time.
CROWD = {"DATABASE_POOL_MAX": "48", "DATABASE_TIMEOUT_MS": "30000"}


def in_background(call: Callable[[], T]) -> Future[T]:
    """Run it in a thread of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def all_at_once(calls: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Run every call in a thread of its own, let go together; what each returned or raised, in order."""
    gate = threading.Barrier(len(calls))

    def behind_gate(call: Callable[[], T]) -> Callable[[], T]:
        def run() -> T:
            gate.wait(HANG_SECONDS)
            return call()

        return run

    futures = [in_background(behind_gate(call)) for call in calls]
    results: list[T | Exception] = []
    for future in futures:
        error = future.exception(HANG_SECONDS)
        if error is not None and not isinstance(error, Exception):
            raise error
        results.append(error if error is not None else future.result())
    return results


def told(results: Iterable[Any]) -> Counter[str]:
    """How many callers were told what: 'ok', 'replayed' or an error code. Any other exception is raised."""
    counts: Counter[str] = Counter()
    for result in results:
        if isinstance(result, HoldfastError):
            counts[result.code] += 1
        elif isinstance(result, Exception):
            raise result
        else:
            counts[result.outcome] += 1
    return counts


class Session:
    """One database session that calls the SQL functions as they are; in a transaction after `begin`."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.pid = connection.info.backend_pid

    def row(self, query: str, *params: Any) -> tuple[Any, ...]:
        found = self.connection.execute(query, params).fetchone()
        assert found is not None
        return tuple(found)

    def begin(self) -> None:
        self.connection.execute("begin")

    def commit(self) -> None:
        self.connection.execute("commit")

    def rollback(self) -> None:
        self.connection.execute("rollback")

    def reserve(self, drop_id: int, user_id: int, size: str | None = None) -> tuple[str, int | None]:
        """(outcome, id of the hold)."""
        rate = settings()
        limits = (rate.reserve_rate_limit or None, rate.reserve_rate_window_seconds)
        query = "select outcome, (hold).id from reserve(%s, %s, %s, %s, %s)"
        outcome, hold_id = self.row(query, drop_id, user_id, size, *limits)
        return outcome, hold_id

    def hold(self, drop_id: int, user_id: int, size: str | None = None) -> int:
        """The id of a new hold."""
        outcome, hold_id = self.reserve(drop_id, user_id, size)
        assert outcome == "ok" and hold_id is not None
        return hold_id

    def purchase(self, reservation_id: int, user_id: int) -> str:
        return str(self.row("select outcome from purchase(%s, %s)", reservation_id, user_id)[0])

    def release(self, reservation_id: int, user_id: int) -> str:
        return str(self.row("select outcome from release(%s, %s)", reservation_id, user_id)[0])

    def expire_due(self, limit: int = 1000) -> int:
        return int(self.row("select expired from expire_due(%s)", limit)[0])

    def restock(self, drop_id: int, quantity: int, size: str | None = None, key: str | None = None) -> str:
        query = "select outcome from restock(%s, %s, %s, coalesce(%s, gen_random_uuid()::text), '')"
        return str(self.row(query, drop_id, size, quantity, key)[0])

    def lock_stripes(self, drop_id: int) -> None:
        """Lock all stripes of a drop, as buyers in flight would."""
        self.connection.execute("select from stock_stripes where drop_id = %s for no key update", [drop_id])


def connect_crowd(count: int = 32) -> None:
    """Open that many of the pool's connections, so that a crowd's calls meet in Postgres and not on the way there."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(db.pool().connection(time.monotonic() + HANG_SECONDS))


@contextmanager
def sessions(database: Database, count: int, *, pooled: bool = False) -> Iterator[list[Session]]:
    """Direct sessions (or through PgBouncer), closed at the end; what they have open is rolled back."""
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            url = database.url if pooled else database.direct_url
            connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
            stack.callback(connection.close)
            opened.append(Session(connection))
        yield opened


def wait_until(reached: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + HANG_SECONDS
    while not reached():
        assert time.monotonic() < give_up, f"never happened: {what}"
        time.sleep(0.005)


def wait_until_blocked(database: Database, waiting: Session, by: Session | None = None) -> None:
    """Return when Postgres itself says that `waiting` waits for a lock of `by` (or of anyone)."""

    def blocked() -> bool:
        pids = database.value("select pg_blocking_pids(%s)", [waiting.pid])
        return bool(pids) and (by is None or by.pid in pids)

    wait_until(blocked, "the session waits for the other's lock")


def never_waits(session: Session) -> Session:
    """Any wait for a lock in this session raises: after this time, or after that which the function sets itself."""
    session.connection.execute("set lock_timeout = '1s'")
    return session
