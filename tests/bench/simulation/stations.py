"""Queues with known discipline: first come, first served, by one or several servers.

A visit's start and end follow from when the servers become free, so that one event stands for a whole visit.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque


class Station:
    """Servers of one kind. Calls must come in the order of their arrival."""

    __slots__ = ("_free", "_starts", "busy_by_second", "longest_queue")

    def __init__(self, servers: int) -> None:
        self._free = [0.0] * servers
        self._starts: deque[float] = deque()
        self.busy_by_second: defaultdict[int, float] = defaultdict(float)
        self.longest_queue = 0

    def start(self, arrival: float) -> float:
        """When a visit that arrives now would begin."""
        return max(arrival, self._free[0])

    def serve(self, arrival: float, seconds: float, earliest: float = 0.0) -> float:
        """Take the place, from `earliest` on if something else must be free too; returns when the visit ends."""
        free, starts = self._free, self._starts
        begin = max(arrival, free[0], earliest)
        ends = begin + seconds
        if len(free) == 1:
            free[0] = ends
        else:
            heapq.heapreplace(free, ends)
        self.busy_by_second[int(begin)] += seconds
        while starts and starts[0] <= arrival:
            starts.popleft()
        if begin > arrival:
            starts.append(begin)
            self.longest_queue = max(self.longest_queue, len(starts))
        return ends

    @property
    def busy_seconds(self) -> float:
        return sum(self.busy_by_second.values())

    @property
    def peak_use(self) -> float:
        """Share of its servers' time in the busiest second, 0 to 1."""
        return min(1.0, max(self.busy_by_second.values(), default=0.0) / len(self._free))


class Stock:
    """The stripes of one drop: a stripe that a sale has locked is passed over."""

    __slots__ = ("_available", "_locked_until", "left")

    def __init__(self, units: int) -> None:
        stripes = min(64, max(1, units // 4))
        self._available = [units // stripes + (number < units % stripes) for number in range(stripes)]
        self._locked_until = [0.0] * stripes
        self.left = units

    def take(self, first: float, now: float) -> int | None:
        """A stripe with a unit that nobody has locked, looked for from `first` (0 to 1) on; None if all are locked."""
        stripes = len(self._available)
        begin = int(first * stripes)
        for step in range(stripes):
            stripe = (begin + step) % stripes
            if self._available[stripe] > 0 and self._locked_until[stripe] <= now:
                self._available[stripe] -= 1
                self.left -= 1
                return stripe
        return None

    def lock(self, stripe: int, until: float) -> None:
        self._locked_until[stripe] = until

    def give_back(self, stripe: int) -> None:
        self._available[stripe] += 1
        self.left += 1
