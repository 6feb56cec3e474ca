"""The pool: a few warm connections for each process, which no call waits for longer than its time limit.

Made for functions that are frozen between requests and thaw with dead sockets, and for transaction poolers: no threads
that keep the pool, no test queries, no session state, no prepared statements. It is a stack, so that the connection
used last is used first and the others age out.
"""

import math
import re
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from lib.errors import Busy, DatabaseUnavailable, NotConfigured

RV = TypeVar("RV")

# Neon closes idle server connections after five minutes.
MAX_IDLE_SECONDS = 240.0
# libpq takes whole seconds and no less than two; the pool's own time limit is finer.
CONNECT_TIMEOUT_SECONDS = 2
# libpq gives no SQLSTATE for a connection that was refused, so its words count: Postgres', PgBouncer's, Neon's.
_REFUSED = re.compile(r"authentication failed|no such user|role \"[^\"]*\" (does not exist|is not permitted to log in)")
REFUSED_STATES = ("28P01", "28000")


class CredentialsRefused(Exception):
    """The database does not know this user or this password."""


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
                raise (CredentialsRefused if _is_refusal(result) else DatabaseUnavailable) from result
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
    return error.sqlstate in REFUSED_STATES or (error.sqlstate is None and _REFUSED.search(str(error)) is not None)


def _is_dead(connection: TimeLimitedConnection) -> bool:
    """Whether an idle connection has something to read: the server only speaks unasked to say goodbye."""
    if connection.closed or connection.info.transaction_status != TransactionStatus.IDLE:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))
