"""How much each scenario does: enough for steady figures in a few minutes, or next to nothing for the tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Counts of requests are for each round, slots in seconds."""

    users: int = 320_000
    rounds: int = 5
    slot_seconds: int = 1
    connections: tuple[int, ...] = (1, 16, 64)
    http_rounds: int = 3
    http_connections: int = 64
    requests: int = 3_000
    drain_units: int = 5_000
    storm_units: int = 200
    storm_buyers: int = 2_000


NORMAL = Size()
TINY = Size(
    users=2_000, rounds=1, connections=(2,), http_rounds=1, http_connections=4, requests=40, drain_units=40, storm_units=8,
    storm_buyers=40,
)  # fmt: skip
