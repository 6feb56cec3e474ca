"""`python -m dev`: the whole shop on this machine, until Ctrl-C. `make dev` installs what it needs first."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.npm import ROOT, require_node
from dev.ports import is_free
from dev.processes import StackError, guard, let_through, say, unprivileged_user
from dev.stack import Stack

DEFAULT_PORT = 4000
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asked for the end. Not an Exception: nobody on the way may take it for a failure."""


def _on_signal(_number: int, _frame: object) -> None:
    for number in SIGNALS:  # the second Ctrl-C must not interrupt the clean-up
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def read_port() -> int:
    text = os.environ.get("PORT", str(DEFAULT_PORT))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise StackError(f"PORT is {text!r}; it must be a number from 1 to 65535, for example: make dev PORT=4001.")
    return int(text)


def check(port: int) -> None:
    """Raise StackError for what is missing, before anything is started."""
    require_node()
    if not is_free(port):
        raise StackError(f"Port {port} is taken; stop what uses it, or choose another: make dev PORT={port + 1}.")


@contextmanager
def exclusive(local: Path) -> Iterator[None]:
    """Hold the data folder for this process alone."""
    local.mkdir(parents=True, exist_ok=True)
    if unprivileged_user() is not None:
        let_through(local / "postgres")
    pid_file = local / "dev.pid"
    with pid_file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise StackError(
                f"Another make dev (process {owner}) already uses {local}; stop it, "
                "or give this one data of its own: HOLDFAST_LOCAL_DIR=.local/second make dev."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def serve() -> None:
    port = read_port()
    check(port)
    local = Path(os.environ.get("HOLDFAST_LOCAL_DIR") or ROOT / ".local").resolve()
    with exclusive(local):
        stack = Stack(port, local)
        try:
            stack.start()
            say(stack.ready_message())
            stack.run()
        finally:
            say("==> stopping")
            stack.stop()


def main() -> int:
    for number in SIGNALS:
        signal.signal(number, _on_signal)
    try:
        serve()
    except StackError as error:
        say(f"error: {error}")
        return 1
    except Stopped:
        say("stopped")
        return 0
    finally:
        guard.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
