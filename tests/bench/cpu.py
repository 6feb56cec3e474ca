"""Processor time of this machine's processes, from Linux' own books."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
# The least that can be told from nothing.
TICK_SECONDS = 1 / _TICKS


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    seconds: float  # its own, and those of children that ended


def _processes() -> dict[int, _Process]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            found[int(folder.name)] = _Process(int(fields[1]), sum(map(int, fields[11:15])) / _TICKS)
    return found


def tree_seconds(pid: int) -> float:
    """Processor seconds that a process and all its descendants have used so far."""
    processes = _processes()
    children = defaultdict(list)
    for number, process in processes.items():
        children[process.parent].append(number)
    total, waiting = 0.0, [pid]
    while waiting:
        number = waiting.pop()
        if number in processes:
            total += processes[number].seconds
        waiting += children[number]
    return total


def memory_bytes(pid: int) -> int:
    """What a process keeps in memory of its own (anonymous pages), without files that it maps."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise LookupError(pid)


class Foreign:
    """How much of the processors programs took that are not ours: what makes a figure doubtful."""

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.monotonic(), _busy_seconds(), _own_seconds()

    def share(self) -> float:
        """Of all processors, since this object was made; 0 to 1."""
        elapsed = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        foreign = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return max(0.0, foreign / max(elapsed, 0.001))


def _busy_seconds() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    # user, nice, system, idle, iowait, irq, softirq, steal: all but the two in the middle.
    return (sum(fields[:3]) + sum(fields[5:8])) / _TICKS


def _own_seconds() -> float:
    return tree_seconds(os.getpid())
