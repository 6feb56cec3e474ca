"""The way to Postgres: a few warm connections for each process, and one call = one statement = one round trip.

Made for functions that are frozen between requests and thaw with dead sockets, and for transaction poolers: no
threads that keep the pool, no test queries, no session state, no prepared statements. The pool is a stack, so that
the connection used last is used first and the others age out. Every call has the request's time limit; nothing hangs.
"""

import json
import math
import re
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import class_row

from lib.errors import Busy, DatabaseUnavailable, NotConfigured
from lib.settings import settings
from lib.trace import count_retry, current

T = TypeVar("T")
RV = TypeVar("RV")

# Neon closes idle server connections after five minutes.
MAX_IDLE_SECONDS = 240.0
# libpq takes whole seconds and no less than two; the pool's own time limit is finer.
CONNECT_TIMEOUT_SECONDS = 2
# Not to be repeated at once: the server is there but had no place or no lock in time. Our functions cannot deadlock
# among themselves; one can with a deployment that replaces a view.
_BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.TooManyConnections,
    psycopg.errors.DeadlockDetected,
)
# libpq gives no SQLSTATE for a connection that was refused, so its words count: Postgres', PgBouncer's, Neon's.
_REFUSED = re.compile(r"authentication failed|no such user|role \"[^\"]*\" (does not exist|is not permitted to log in)")
_REFUSED_STATES = ("28P01", "28000")

# Called when the database refuses the credentials: whether there are others by now. bool() is False.
on_authentication_failure: Callable[[], bool] = bool


class TimeLimitedConnection(psycopg.Connection[Any]):
    """A connection whose waits end at `deadline` (of time.monotonic): the server may be silent for good."""

    deadline = math.inf

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        remaining = max(self.deadline - time.monotonic(), 0.001)
        return super().wait(gen, interval, min(remaining, timeout) if timeout is not None else remaining)


class Pool:
    """At most `size` connections at once; several requests of one process share them."""

    def __init__(self, conninfo: str, size: int) -> None:
        self._conninfo = conninfo
        self._slots = threading.BoundedSemaphore(size)
        self._idle: list[tuple[TimeLimitedConnection, float]] = []
        self._is_closed = False

    @contextmanager
    def connection(self, deadline: float, *, fresh: bool = False) -> Iterator[tuple[TimeLimitedConnection, bool]]:
        """Lend a connection and say whether it was used before. `fresh` asks for a new one.

        Raises Busy if none is free before `deadline`, DatabaseUnavailable if none can be made.
        """
        if not self._slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise Busy
        try:
            if time.monotonic() >= deadline:  # a call would only break a good connection
                raise Busy
            warm = None if fresh else self._take()
            connection = warm or self._connect(deadline)
            connection.deadline = deadline
            try:
                yield connection, warm is not None
            finally:
                self._give_back(connection)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close what is idle, and later what is lent: before a snapshot, and when tests change databases."""
        self._is_closed = True
        while self._idle:
            self._idle.pop()[0].close()

    def _take(self) -> TimeLimitedConnection | None:
        while True:
            try:
                connection, idle_since = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - idle_since < MAX_IDLE_SECONDS and not _is_dead(connection):
                return connection
            connection.close()

    def _give_back(self, connection: TimeLimitedConnection) -> None:
        if self._is_closed or connection.closed or connection.info.transaction_status != TransactionStatus.IDLE:
            connection.close()
        else:
            self._idle.append((connection, time.monotonic()))

    def _connect(self, deadline: float) -> TimeLimitedConnection:
        """Connect in a thread of its own: looking up a host name has no time limit otherwise."""
        made: SimpleQueue[TimeLimitedConnection | Exception] = SimpleQueue()
        given_up = threading.Event()

        def run() -> None:
            try:
                connection = _open(self._conninfo)
            except psycopg.ProgrammingError:
                # Its words quote the URL, and with it the password.
                made.put(
                    NotConfigured("DATABASE_URL cannot be read: it is no postgresql:// URL, or not encoded as one.")
                )
                return
            except Exception as error:
                made.put(error)
                return
            if given_up.is_set():
                connection.close()
            else:
                made.put(connection)

        threading.Thread(target=run, daemon=True, name="holdfast-connect").start()
        try:
            result = made.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            given_up.set()
            raise DatabaseUnavailable from None
        if isinstance(result, Exception):
            if isinstance(result, psycopg.OperationalError):
                raise (_CredentialsRefused if _is_refusal(result) else DatabaseUnavailable) from result
            raise result
        return result


def _open(conninfo: str) -> TimeLimitedConnection:
    return TimeLimitedConnection.connect(
        conninfo,
        autocommit=True,
        prepare_threshold=None,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        tcp_user_timeout=CONNECT_TIMEOUT_SECONDS * 1000,
        keepalives_idle=10,
        application_name="holdfast",
    )


def _is_refusal(error: psycopg.Error) -> bool:
    return error.sqlstate in _REFUSED_STATES or (error.sqlstate is None and _REFUSED.search(str(error)) is not None)


def _is_dead(connection: TimeLimitedConnection) -> bool:
    """Whether an idle connection has something to read: the server only speaks unasked to say goodbye."""
    if connection.closed or connection.info.transaction_status != TransactionStatus.IDLE:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))


_pool: Pool | None = None
_pool_lock = threading.Lock()


def pool() -> Pool:
    """The process's pool, made at first use. Raises NotConfigured while the URL's secret could not be read."""
    global _pool
    if _pool is None:
        if settings().awaits_database_url:
            raise NotConfigured("The secret that DATABASE_URL_SECRET names could not be read.")
        with _pool_lock:
            _pool = _pool or Pool(settings().database_url, settings().database_pool_max)
    return _pool


def close_pool() -> None:
    """Close idle connections and forget the pool; the next call makes a new one."""
    global _pool
    with _pool_lock:
        if _pool is not None:
            _pool.close()
        _pool = None


def deadline() -> float:
    """When the current request has to have its answer from the database, in time.monotonic()'s seconds."""
    started = trace.started if (trace := current.get()) is not None else time.monotonic()
    return started + settings().database_timeout_ms / 1000


def fetch_all(row: type[T], query: str, params: dict[str, Any] | None = None, seconds: float | None = None) -> list[T]:
    """Run one statement and build a `row` (a dataclass) from each row's columns, in the request's time or in `seconds`.

    A call that dies on a connection that was idle before is repeated once on a fresh one: every statement here may
    run twice with the effect of once. Raises Busy and DatabaseUnavailable.
    """

    def fetch(connection: TimeLimitedConnection) -> list[T]:
        with connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(query, params).fetchall()

    return _call(fetch, seconds)


def fetch_one(row: type[T], query: str, params: dict[str, Any] | None = None, seconds: float | None = None) -> T:
    """The same for a statement that gives exactly one row."""
    (result,) = fetch_all(row, query, params, seconds)
    return result


def fetch_json(query: str, *params: object) -> Any:
    """The JSON value of a statement with $1, $2, ... that gives one, or None: the shortest way, for what crowds call.

    A cursor, its copy of the query and a converter for each column take longer than the call itself.
    """
    sent = [None if value is None else str(value).encode() for value in params]

    def fetch(connection: TimeLimitedConnection) -> bytes:
        connection.pgconn.send_query_params(query.encode(), sent)
        result = connection.wait(generators.execute(connection.pgconn))[-1]
        if result.status != ExecStatus.TUPLES_OK:
            raise psycopg.errors.error_from_result(result)
        return result.get_value(0, 0) or b"null"

    return json.loads(_call(fetch), parse_float=Decimal)


def execute(query: str, params: dict[str, Any] | None = None) -> None:
    """The same for a statement whose result nobody reads."""
    _call(lambda connection: connection.execute(query, params) and None)


def _call(run: Callable[[TimeLimitedConnection], T], seconds: float | None = None) -> T:
    limit = deadline() if seconds is None else time.monotonic() + seconds
    trace = current.get()
    began = time.monotonic()
    try:
        return _with_new_credentials(lambda: _repeated_if_stale(run, limit))
    finally:
        if trace is not None:
            trace.database_ms += (time.monotonic() - began) * 1000
            trace.database_calls += 1


def _repeated_if_stale(run: Callable[[TimeLimitedConnection], T], limit: float) -> T:
    try:
        return _once(run, limit, fresh=False)
    except _StaleConnection:
        count_retry()
        return _once(run, limit, fresh=True)


def _with_new_credentials(call: Callable[[], T]) -> T:
    """Call again, once, if the credentials were refused and there are others: a secret was rotated."""
    try:
        try:
            return call()
        except _CredentialsRefused:
            if not on_authentication_failure():
                raise
            count_retry()
            return call()
    except _CredentialsRefused as refused:
        raise DatabaseUnavailable from refused.__cause__


class _CredentialsRefused(Exception):
    """The database does not know this user or this password."""


class _StaleConnection(Exception):
    """The connection died under a call, and it had been idle before: most likely it was dead already."""


def _once(run: Callable[[TimeLimitedConnection], T], limit: float, *, fresh: bool) -> T:
    with pool().connection(limit, fresh=fresh) as (connection, was_warm):
        try:
            return run(connection)
        except psycopg.errors._WaitTimeout as error:
            connection.close()
            raise Busy from error
        except _BUSY as error:
            raise Busy from error
        except psycopg.errors.ReadOnlySqlTransaction as error:
            # A server that was demoted, or whose disk is full: the next connection may lead to another.
            connection.close()
            raise DatabaseUnavailable from error
        except psycopg.errors.UndefinedFunction as error:
            raise NotConfigured("The database is not migrated: `make migrate` brings it up to date.") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotConfigured("DATABASE_URL's user is no member of holdfast_app, nor the tables' owner.") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if error.sqlstate in _REFUSED_STATES:  # from a pooler that logs in on behalf of its clients
                connection.close()
                raise _CredentialsRefused from error
            if was_warm and connection.broken:
                raise _StaleConnection from error
            raise DatabaseUnavailable from error
