"""A real PgBouncer in transaction mode: the stand-in for Neon's `-pooler` host."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from dev.ports import HOST, accepts, random_free, wait_until
from dev.postgres import APP_USER, MAX_CONNECTIONS, Postgres
from dev.processes import Child, StackError, let_through, unprivileged_user

READY_SECONDS = 15.0
MAX_CLIENTS = 10_000  # Neon's
POOL_SIZE = int(MAX_CONNECTIONS * 0.9)  # Neon's share, for each user and database

# No ignore_startup_parameters: as strict as Neon's. A client that sends `options=`, or counts on its session,
# must fail here too. server_login_retry: by default clients wait 15 s after the server is back.
CONFIG = """\
[databases]
* = host={host} port={postgres_port}

[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
auth_type = trust
auth_file = {users}
max_client_conn = {max_clients}
default_pool_size = {pool_size}
reserve_pool_size = 0
server_login_retry = 1
log_connections = 0
log_disconnections = 0
log_stats = 0
admin_users = postgres
"""


def find_binary() -> str | None:
    """The program; Debian puts it where only root's PATH looks."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"])
    return shutil.which("pgbouncer", path=path)


class PgBouncer:
    """Pools connections to `postgres`, whichever database a client asks for."""

    def __init__(self, postgres: Postgres, port: int | None = None) -> None:
        self.postgres = postgres
        self.port = port or random_free()
        self._folder: Path | None = None
        self._child: Child | None = None

    @staticmethod
    def available() -> bool:
        """Whether this machine has the program."""
        return find_binary() is not None

    def url(self, database: str = "postgres") -> str:
        """A connection URL for libpq, through the pool."""
        return f"postgresql://postgres@{HOST}:{self.port}/{database}"

    def app_url(self, database: str) -> str:
        """The same for functions, which may do less than its owner."""
        return f"postgresql://{APP_USER}@{HOST}:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Its process id; 0 if it is not running."""
        return self._child.pid if self._child is not None else 0

    def is_running(self) -> bool:
        return self._child is not None and self._child.is_running()

    def start(self) -> Self:
        """Start, and return when it takes connections. Raises StackError with the end of its log."""
        program = find_binary()
        if program is None:
            raise StackError(
                "PgBouncer is missing; install it with: apt-get install pgbouncer, or brew install pgbouncer."
            )
        if self.is_running():
            return self
        allow_open_files(MAX_CLIENTS + 1_000)
        self._child = Child("pgbouncer", [program, self._write_config()], user=unprivileged_user(), cwd=Path("/"))
        ready = wait_until(lambda: accepts(self.port) or not self.is_running(), READY_SECONDS)
        if not ready or not self.is_running():
            child, self._child = self._child, None
            child.kill()
            raise StackError(f"PgBouncer did not start. The end of its log:\n{child.last_words()}")
        return self

    def stop(self) -> None:
        """Stop at once, closing every client's connection."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_config(self) -> Path:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = folder = Path(tempfile.mkdtemp(prefix="holdfast-pgbouncer-"))
        users, config = folder / "users.txt", folder / "pgbouncer.ini"
        users.write_text(f'"postgres" ""\n"{APP_USER}" ""\n')
        config.write_text(
            CONFIG.format(
                host=HOST,
                port=self.port,
                postgres_port=self.postgres.port,
                users=users,
                max_clients=MAX_CLIENTS,
                pool_size=POOL_SIZE,
            )
        )
        if unprivileged_user() is not None:
            let_through(config)
        return config


def allow_open_files(count: int) -> None:
    """Raise this process' limit of open files, which children inherit, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    # macOS refuses more than kern.maxfilesperproc even where the limit says unlimited.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
