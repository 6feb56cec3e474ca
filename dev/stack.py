"""What `make dev` runs: the parts in order, and what happens when one dies or a file changes."""

from __future__ import annotations

import os
import queue
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from dotenv import dotenv_values
from watchfiles import watch

from dev.npm import ROOT, ensure_vendor, soketi_command
from dev.pgbouncer import PgBouncer
from dev.ports import HOST, accepts, first_free, one_at_a_time, wait_until
from dev.postgres import Postgres
from dev.processes import Child, StackError, guard, say
from dev.soketi import Soketi
from dev.sweep import Sweeper

POSTGRES_PORT = 15432
PGBOUNCER_PORT = 16432
SOKETI_PORT = 6001
DATABASE = "holdfast"
GATEWAY_READY_SECONDS = 60.0
POLL_SECONDS = 0.2
WATCHED_TREES = ("api", "lib", "scheduled", "sql")
WATCHED_FOLDERS = (".", "dev")
WATCHED_SUFFIXES = (".py", ".sql")
WATCHED_NAMES = ("vercel.json", ".env")

# The sweep is called every 10 s and lasts 12 s, so that two of them overlap, as the platform's do.
DEFAULTS = {"HOLDFAST_ENV": "development", "AUTH_MODE": "trusted", "SWEEP_BUDGET_SECONDS": "12"}


class Stack:
    """Every part of the shop on this machine. Data stays in `local` from one run to the next."""

    def __init__(self, port: int, local: Path) -> None:
        self.port, self.local = port, local
        self.postgres = Postgres(local / "postgres")
        self.pooler: PgBouncer | None = None
        self.soketi = Soketi(on_restart=lambda message: say(f"note: {message}"))
        self._gateway: Child | None = None
        self._cron_secret = secrets.token_urlsafe(24)
        # The functions' secret of now: .env may set another one while they run.
        self._served_cron_secret = self._cron_secret
        self._sweeper = Sweeper(port, lambda: self._served_cron_secret, lambda message: say(f"note: {message}"))
        self._changes: queue.Queue[set[str]] = queue.Queue()
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        """Start every part. Raises StackError at the first that does not."""
        say("==> browser libraries and soketi")
        ensure_vendor()
        soketi_command()
        with one_at_a_time():
            self._start_servers()
        self._migrate()
        say("==> demo data")
        self._run("dev.seed")
        say("==> functions and pages")
        self._start_gateway()
        self._watch()
        self._sweeper.start()

    def _start_servers(self) -> None:
        say(f"==> Postgres, data in {_short(self.postgres.data_dir)}")
        self.postgres.port = first_free(POSTGRES_PORT)
        self.postgres.start()
        self.postgres.create_database(DATABASE)
        if PgBouncer.available():
            say("==> PgBouncer")
            self.pooler = PgBouncer(self.postgres, first_free(PGBOUNCER_PORT)).start()
        else:
            say("==> no PgBouncer on this machine: functions use Postgres directly, production uses a pooler")
            say("    to have one here too: apt-get install pgbouncer, or brew install pgbouncer")
        say("==> soketi, the local Pusher server")
        self.soketi.port = first_free(SOKETI_PORT)
        self.soketi.start()

    def ready_message(self) -> str:
        pooled = f" (pooled: {self.pooler.url(DATABASE)})" if self.pooler else ""
        return (
            f"\nready: {self.url}\n"
            f"  storefront  {self.url}/\n"
            f"  console     {self.url}/admin\n"
            f"  API         {self.url}/api/docs\n"
            f"  soketi      ws://{HOST}:{self.soketi.port} (key {self.soketi.key})\n"
            f"  database    {self.postgres.url(DATABASE)}{pooled}\n"
            "  Ctrl-C stops everything\n"
        )

    def run(self) -> None:
        """Go on until a part dies by itself (StackError) or a signal's exception ends it."""
        while True:
            self._check_alive()
            try:
                paths = self._changes.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            self._reload(paths)

    def stop(self) -> None:
        """Stop every part, the ones that use others first."""
        self._stopped.set()
        self._sweeper.stop()
        if self._gateway is not None:
            self._gateway.stop()
        self.soketi.stop()
        if self.pooler is not None:
            self.pooler.stop()
        self.postgres.stop()
        guard.close()

    def environment(self) -> dict[str, str]:
        """What functions see. `.env` and the caller's environment win, except for where the parts are."""
        file = {name: value for name, value in dotenv_values(ROOT / ".env").items() if value is not None}
        own = {"CRON_SECRET": self._cron_secret, **DEFAULTS}
        parts = {
            "DATABASE_URL": (self.pooler or self.postgres).app_url(DATABASE),
            "DATABASE_URL_UNPOOLED": self.postgres.url(DATABASE),
            **self.soketi.env(),
            "PUSHER_CLIENT_HOST": HOST,
            "PUSHER_CLIENT_PORT": str(self.soketi.port),
            "PYTHONUNBUFFERED": "1",
        }
        return {**own, **file, **os.environ, **parts}

    def _migrate(self) -> None:
        say("==> migrations")
        self._run("lib.migrate")
        self.postgres.create_app_user()

    def _run(self, module: str) -> None:
        """Run a module of this project to its end, its output on ours. Raises StackError if it fails."""
        result = subprocess.run([sys.executable, "-m", module], cwd=ROOT, env=self.environment())
        if result.returncode != 0:
            raise StackError(f"`python -m {module}` failed (exit code {result.returncode}); see its message above.")

    def _start_gateway(self) -> None:
        command = [sys.executable, "-m", "dev.gateway", str(self.port)]
        environment = self.environment()
        child = self._gateway = Child("api", command, cwd=ROOT, env=environment, on_line=_print_line)
        self._served_cron_secret = environment["CRON_SECRET"]
        wait_until(lambda: accepts(self.port) or not child.is_running(), GATEWAY_READY_SECONDS, POLL_SECONDS / 2)
        if not child.is_running() or not accepts(self.port):
            child.kill()
            raise StackError("The functions did not start; see the message above.")

    def _check_alive(self) -> None:
        parts: list[tuple[str, Postgres | PgBouncer | Child]] = [("Postgres", self.postgres)]
        if self.pooler is not None:
            parts.append(("PgBouncer", self.pooler))
        if self._gateway is not None:
            parts.append(("The process of the functions", self._gateway))
        for name, part in parts:
            if not part.is_running():
                raise StackError(f"{name} stopped by itself, so everything stops; start again with: make dev.")

    def _reload(self, paths: set[str]) -> None:
        names = ", ".join(sorted(_short(Path(path)) for path in paths))
        say(f"==> changed: {names}")
        if self._gateway is not None:
            self._gateway.stop()
            self._gateway = None
        try:
            if any(path.endswith(".sql") for path in paths):
                self._migrate()
            self._start_gateway()
            say(f"ready again: {self.url}")
        except StackError as error:
            self._gateway = None
            say(f"error: {error}\n       Waiting for the next change.")

    def _watch(self) -> None:
        trees = [ROOT / name for name in WATCHED_TREES if (ROOT / name).is_dir()]
        folders = [ROOT / name for name in WATCHED_FOLDERS]
        for paths, recursive in ((trees, True), (folders, False)):
            threading.Thread(target=self._watch_paths, args=(paths, recursive), name="watch", daemon=True).start()

    def _watch_paths(self, paths: Iterable[Path], recursive: bool) -> None:
        try:
            for changes in watch(
                *paths,
                watch_filter=_matters,
                recursive=recursive,
                stop_event=self._stopped,
                raise_interrupt=False,
            ):
                self._changes.put({path for _, path in changes})
        except Exception as error:  # an exhausted inotify limit, for one: the shop goes on without reloading
            say(f"note: changes of files are not noticed ({error}); restart make dev to see them.")


def _matters(_change: object, path: str) -> bool:
    return path.endswith(WATCHED_SUFFIXES) or Path(path).name in WATCHED_NAMES


def _print_line(line: str) -> None:
    say(f"api | {line}")


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
