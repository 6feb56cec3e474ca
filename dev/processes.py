"""Child processes: each in a group of its own, its output prefixed, and none left behind."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

STOP_GRACE_SECONDS = 3.0
TAIL_LINES = 20

_print_lock = threading.Lock()


class StackError(Exception):
    """A part of the local stack cannot run. The text is one sentence for a person, with the remedy."""


def say(message: str) -> None:
    """Print one line of progress at once, whole, whoever else is printing."""
    with _print_lock:
        print(message, flush=True)


class Guard:
    """One small process that ends this process' children if this process is killed. See dev/guard.py."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def _pipe(self) -> subprocess.Popen[str]:
        # A forked copy of this process (pytest, multiprocessing) must not share the pipe.
        if self._process is None or self._owner != os.getpid():
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd="/",
                start_new_session=True,
            )
            self._owner = os.getpid()
        return self._process

    def _tell(self, line: str) -> None:
        with self._lock, contextlib.suppress(BrokenPipeError):
            stream = self._pipe().stdin
            if stream is not None:
                stream.write(line + "\n")
                stream.flush()

    def watch(self, group: int) -> None:
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}")

    def close(self) -> None:
        """End the guard, which ends what is still watched first."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None and process.stdin is not None and self._owner == os.getpid():
            process.stdin.close()
            process.wait(timeout=10)


guard = Guard()
atexit.register(guard.close)


class Child:
    """A running child process and all it starts.

    Its output goes line by line to `on_line`; the last lines are kept in `tail` for an error message.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._on_line = on_line
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
            user=user,
            group=primary_group(user),
            extra_groups=None if user is None else [],
        )
        guard.watch(self.pid)
        self._reader = threading.Thread(
            target=self._read, args=[self._process.stdout], name=f"{name}-output", daemon=True
        )
        self._reader.start()

    def _read(self, output: IO[str]) -> None:
        with contextlib.suppress(ValueError), output:
            for line in output:
                self.tail.append(line.rstrip())
                if self._on_line is not None:
                    self._on_line(line.rstrip())

    @property
    def pid(self) -> int:
        """Also the id of its process group."""
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def returncode(self) -> int | None:
        return self._process.poll()

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Wait until it ends. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout_seconds)

    def send(self, number: int) -> None:
        """Signal the leader only: Postgres and PgBouncer hand it on as they see fit."""
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, grace_seconds: float = STOP_GRACE_SECONDS) -> int:
        """End it, gently and then by force, with everything in its group; returns the exit code."""
        if self.is_running():
            self.send(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(grace_seconds)
        return self.kill()

    def kill(self) -> int:
        """End it at once, with everything in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        code = self.wait()
        guard.forget(self.pid)
        self._reader.join(timeout=2)
        return code

    def last_words(self) -> str:
        """The end of its output, to follow an error message."""
        return "\n".join(f"  {self.name} | {line}" for line in self.tail)


def primary_group(user: str | None) -> int | None:
    """The group to run with when a root process starts a child as `user`."""
    if user is None:
        return None
    import pwd

    return pwd.getpwnam(user).pw_gid


def unprivileged_user() -> str | None:
    """Postgres and PgBouncer refuse to run as root: the user to run them as; None if we are not root."""
    if os.geteuid() != 0:
        return None
    import pwd

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            if pwd.getpwnam(name).pw_uid != 0:
                return name
    raise StackError("Running as root needs a user `nobody` to run Postgres as; create it, or run as yourself.")


def let_through(path: Path) -> None:
    """Let other users pass, not read, the folders above `path`: `unprivileged_user` has to reach it."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)
