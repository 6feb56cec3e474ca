"""TCP ports on loopback."""

import contextlib
import fcntl
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dev.processes import StackError

HOST = "127.0.0.1"
# Below the range that systems take outgoing connections' ports from (32768 on Linux, 49152 on macOS): a
# server that restarts on its port must not find the client of another server sitting on it.
RANDOM_PORTS = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback now, and nobody listens on all addresses."""
    for host in (HOST, ""):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def accepts(port: int) -> bool:
    """Whether somebody listens on this port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def first_free(default: int) -> int:
    """This port, or the next one that is free."""
    for port in range(default, default + 100):
        if is_free(port):
            return port
    raise StackError(f"No free port between {default} and {default + 99}; stop what uses them.")


def random_free() -> int:
    """A port that nobody uses now, for servers that tests run side by side."""
    for _ in range(200):
        port = secrets.choice(RANDOM_PORTS)
        if is_free(port):
            return port
    raise StackError(f"No free port between {RANDOM_PORTS.start} and {RANDOM_PORTS.stop}.")


def wait_until(condition: Callable[[], bool], timeout_seconds: float, pause_seconds: float = 0.02) -> bool:
    """Whether `condition` came true in time."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_seconds)
    return True


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Held from the choice of default ports until they are bound: two stacks of one user do not choose the same."""
    with (Path(tempfile.gettempdir()) / f"holdfast-ports-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
