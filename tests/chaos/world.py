"""The parts that chaos breaks: Postgres, PgBouncer, soketi, and processes of functions, with relays between them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from dev.npm import ROOT
from dev.pgbouncer import PgBouncer
from dev.ports import HOST, accepts, random_free, wait_until
from dev.postgres import APP_USER, Postgres
from dev.processes import Child, StackError
from dev.soketi import Soketi
from lib.migrate import migrate
from tests.chaos.relay import Relay

DATABASE = "chaos"
CRON_SECRET = "chaos-cron"
READY_SECONDS = 60.0
USERS = 4000
# Small enough that three of them at once overlap and still let the run end.
SWEEP_BUDGET_SECONDS = 4


@dataclass
class Instance:
    """One process with all functions: what a platform would call an instance of them."""

    environment: dict[str, str]
    port: int = field(default_factory=random_free)
    skew_hours: float = 0.0
    child: Child | None = None
    started_at: float = 0.0
    # Until when a request to it may have met it frozen, dead or starting (monotonic).
    disturbed_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    on_line: Callable[[str], None] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        environment = {**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"}
        module = ["tests.chaos.skewed", str(self.skew_hours)] if self.skew_hours else ["dev.gateway"]
        command = [sys.executable, "-m", *module, str(self.port)]
        self.child = Child("functions", command, cwd=ROOT, env=environment, on_line=self.on_line)
        if not wait_until(lambda: accepts(self.port), READY_SECONDS):
            raise StackError(f"Functions did not start:\n{self.child.last_words()}")
        self.started_at = self.disturbed_until = time.monotonic()

    def kill(self) -> None:
        """kill -9, in whatever it is doing."""
        self.disturbed_until = float("inf")
        if self.child is not None:
            self.child.kill()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """As a platform freezes an instance between requests; here also in the middle of them."""
        assert self.child is not None
        self.disturbed_until = float("inf")
        os.killpg(self.child.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.child.pid, signal.SIGCONT)
            self.disturbed_until = time.monotonic()

    def memory_mb(self) -> float:
        """Resident memory now; 0 if it is not running."""
        if self.child is None:
            return 0.0
        with contextlib.suppress(OSError, IndexError):
            pages = int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        return 0.0


class World:
    """Everything, started in order and stopped in reverse. Postgres syncs to disk: it will be crashed."""

    def __init__(self, instances: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-chaos-"))
        logs = {"logging_collector": "on", "log_directory": "server-log", "log_min_messages": "warning"}
        self.postgres = Postgres(self.folder / "postgres", random_free(), logs)
        self.pgbouncer = PgBouncer(self.postgres, random_free())
        self.soketi = Soketi()
        self.log_lines: list[str] = []
        self._stack = contextlib.ExitStack()
        self._count = instances
        self.instances: list[Instance] = []

    def __enter__(self) -> World:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        stack = self._stack
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.postgres.start()
        stack.callback(self.postgres.stop, "immediate")
        stack.enter_context(self.pgbouncer)
        stack.enter_context(self.soketi)
        self.postgres.create_database(DATABASE)
        migrate(self.postgres.url(DATABASE))
        self.postgres.create_app_user()
        with self.connect() as connection:
            connection.execute(
                "insert into users (username) select 'chaos-' || n from generate_series(1, %s) n", [USERS]
            )
        self.database_relay = stack.enter_context(Relay(self.pgbouncer.port))
        # Only what functions publish goes through it: the viewer that counts events is never cut off itself.
        self.channel_relay = stack.enter_context(Relay(self.soketi.port))
        for _ in range(self._count):
            instance = Instance(self.environment(), on_line=self.log_lines.append)
            stack.callback(instance.kill)
            instance.start()
            self.instances.append(instance)

    def environment(self) -> dict[str, str]:
        return {
            "HOLDFAST_ENV": "development",
            "AUTH_MODE": "trusted",
            "CRON_SECRET": CRON_SECRET,
            "LOG_LEVEL": "WARNING",
            "SWEEP_BUDGET_SECONDS": str(SWEEP_BUDGET_SECONDS),
            "DATABASE_URL": f"postgresql://{APP_USER}@{HOST}:{self.database_relay.port}/{DATABASE}",
            **self.soketi.env(),
            "PUSHER_PORT": str(self.channel_relay.port),
        }

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """Straight to Postgres, past everything that is broken on purpose."""
        return psycopg.connect(self.postgres.url(DATABASE), autocommit=True)

    def server_log(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.postgres.data_dir.glob("server-log/*")))
