"""The servers of a benchmark: production's parts and durability, on this machine.

Postgres keeps its default settings, fsync among them; PgBouncer pools transactions; the functions run in one uvicorn
process (tests/bench/server.py) and publish to soketi. Everything listens on loopback, on ports and data of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import psycopg

from dev.npm import ROOT, ensure_vendor
from dev.pgbouncer import PgBouncer
from dev.ports import HOST, accepts, random_free, wait_until
from dev.postgres import Postgres
from dev.processes import StackError, guard
from dev.soketi import Soketi
from lib.migrate import migrate
from tests.bench import classic

DATABASE = "bench"
# One user has one live hold in a drop, so a crowd needs as many users. Ids are 1 to USERS.
USERS = 320_000
# Longer than any run: nothing of one scenario falls due in another.
HOLD_SECONDS = 86_400
READY_SECONDS = 30.0


class Server:
    """One uvicorn process on a port of its own; its log goes to a file, as a platform would take it."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.port, self.log = random_free(), log
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.server", str(self.port)],
                cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        guard.watch(self._process.pid)
        if not wait_until(lambda: accepts(self.port) or self._process.poll() is not None, READY_SECONDS):
            self.stop()
        if self._process.poll() is not None:
            raise StackError(f"The functions did not start. The end of their log:\n{log.read_text()[-2000:]}")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        guard.forget(self._process.pid)


class Stack:
    """Starts what a scenario asks for, when it asks, and stops it all."""

    def __init__(self, users: int = USERS) -> None:
        (ROOT / ".local").mkdir(exist_ok=True)
        # On the project's own disk: a temporary folder may be memory, where a commit costs nothing.
        self.folder = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / ".local"))
        self.users = users
        self.postgres = Postgres(self.folder / "postgres", random_free())
        self.pgbouncer = PgBouncer(self.postgres, random_free())
        self.soketi = Soketi()
        self._servers = 0

    def __enter__(self) -> Self:
        try:
            ensure_vendor()
            self.postgres.start()
            self.pgbouncer.start()
            self.soketi.start()
            self.postgres.create_database(DATABASE)
            migrate(self.url)
            with self.connect() as connection:
                connection.execute(classic.TABLES)
                connection.execute(
                    "insert into users (username) select 'buyer-' || n from generate_series(1, %s) n", [self.users]
                )
                connection.execute("vacuum analyze users")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.soketi.stop()
        self.pgbouncer.stop()
        self.postgres.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """Postgres itself."""
        return self.postgres.url(DATABASE)

    @property
    def pooled_url(self) -> str:
        return self.pgbouncer.url(DATABASE)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True)

    def value(self, query: str, params: Sequence[Any] = ()) -> Any:
        """The only column of the only row."""
        with self.connect() as connection:
            row = connection.execute(query, params).fetchone()
            assert row is not None
            return row[0]

    def make_drop(self, units: int, hold_seconds: int = HOLD_SECONDS) -> int:
        """A drop of one size, on sale now; the same stock for classic, under the same id."""
        query = "select drop_id from create_drop('Bench', %s, 'EUR', null, null, null, %s, null, %s, %s, '')"
        stock = f'[{{"size": "", "stock": {units}}}]'
        drop_id = int(self.value(query, [Decimal(100), hold_seconds, stock, os.urandom(8).hex()]))
        with self.connect() as connection:
            connection.execute(classic.MAKE_DROP, {"id": drop_id, "units": units, "hold_seconds": hold_seconds})
        return drop_id

    def environment(self, database_url: str | None = None) -> dict[str, str]:
        """What the functions see: development's open doors, every other setting at its default."""
        return {
            "HOLDFAST_ENV": "development",
            "AUTH_MODE": "trusted",
            "DATABASE_URL": database_url or self.pooled_url,
            **self.soketi.env(),
        }

    @contextlib.contextmanager
    def server(self, database_url: str | None = None, **settings: str) -> Iterator[Server]:
        """The functions, `bare` and `classic` in one process, stopped at the end."""
        self._servers += 1
        environment = {**self.environment(database_url), **settings}
        server = Server(environment, self.folder / f"server-{self._servers}.log")
        try:
            yield server
        finally:
            server.stop()
