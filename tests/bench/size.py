"""How much each scenario does: enough for steady figures in some minutes, or next to nothing for the tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Counts of requests are for each round, slots in seconds."""

    users: int = 320_000
    rounds: int = 3
    slot_seconds: int = 1
    # Before each slot, not counted: connections compile and plan what pooled ones have behind them.
    warm_seconds: int = 1
    connections: tuple[int, ...] = (1, 16, 64)
    http_rounds: int = 3
    http_connections: int = 64
    requests: int = 3_000
    drain_units: int = 5_000
    storm_units: int = 200
    storm_buyers: int = 2_000
    # The full shop: 1,000,000 purchases, 10,000,000 past reservations, 10,000 drops, times this. It stands beside a
    # hundredth of it.
    shop_share: float = 0.1
    due_drops: int = 100
    due_holds: int = 100_000
    timed_holds: int = 2_000
    timed_seconds: float = 10.0
    rest_events: int = 30
    memory_requests: int = 100_000


NORMAL = Size()
FULL = Size(shop_share=1.0)
TINY = Size(
    users=2_000,
    rounds=1,
    warm_seconds=0,
    connections=(2,),
    http_rounds=1,
    http_connections=4,
    requests=40,
    drain_units=40,
    storm_units=8,
    storm_buyers=40,
    shop_share=0.001,
    due_drops=4,
    due_holds=400,
    timed_holds=40,
    timed_seconds=1.0,
    rest_events=2,
    memory_requests=200,
)
SIZES = {"normal": NORMAL, "full": FULL, "tiny": TINY}
