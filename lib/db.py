"""The way to Postgres: one call = one statement = one round trip, on a connection of the process's pool (lib/pool.py).

Every call has the request's time limit; nothing hangs.
"""

import json
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus
from psycopg.rows import class_row

from lib.errors import Busy, DatabaseUnavailable, NotConfigured
from lib.pool import REFUSED_STATES, CredentialsRefused, Pool, TimeLimitedConnection
from lib.settings import settings
from lib.trace import count_retry, current

T = TypeVar("T")

# Not to be repeated at once: the server is there but had no place or no lock in time. Our functions cannot deadlock
# among themselves; one can with a deployment that replaces a view.
_BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.TooManyConnections,
    psycopg.errors.DeadlockDetected,
)

# Called when the database refuses the credentials: whether there are others by now. bool() is False.
on_authentication_failure: Callable[[], bool] = bool


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
        except CredentialsRefused:
            if not on_authentication_failure():
                raise
            count_retry()
            return call()
    except CredentialsRefused as refused:
        raise DatabaseUnavailable from refused.__cause__


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
            if error.sqlstate in REFUSED_STATES:  # from a pooler that logs in on behalf of its clients
                connection.close()
                raise CredentialsRefused from error
            if was_warm and connection.broken:
                raise _StaleConnection from error
            raise DatabaseUnavailable from error
