"""Commits that take as long as those of a store behind a network: 2 ms on this machine's disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dev.processes import let_through
from tests.bench.stack import Stack

SOURCE = Path(__file__).with_name("slow_fsync.c")
REMEDY = "they need Linux and a C compiler; install one with: apt-get install gcc libc6-dev"


def compiler() -> str | None:
    """A C compiler, if this machine has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def can_slow_commits() -> bool:
    """Whether the shim can be built and put into Postgres here."""
    return sys.platform == "linux" and compiler() is not None


@contextlib.contextmanager
def slow_commits(stack: Stack, milliseconds: float) -> Iterator[None]:
    """Postgres, restarted with each flush of its log `milliseconds` longer; restarted without at the end."""
    shim = stack.folder / "slow_fsync.so"
    program = compiler()
    assert program is not None, REMEDY
    subprocess.run([program, "-shared", "-fPIC", "-O2", "-o", str(shim), str(SOURCE), "-ldl"], check=True)
    let_through(shim)
    stack.postgres.stop()
    variables = {"LD_PRELOAD": str(shim), "BENCH_FLUSH_MICROSECONDS": str(round(milliseconds * 1000))}
    try:
        # Postgres inherits our environment; nothing else is started meanwhile.
        os.environ.update(variables)
        stack.postgres.start()
        for name in variables:
            del os.environ[name]
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
        stack.postgres.restart()
