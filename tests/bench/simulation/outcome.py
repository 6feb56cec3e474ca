"""What a simulated drop came to: figures, messages and money."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Any

from tests.bench.measure import percentile
from tests.bench.simulation.crowds import Opening
from tests.bench.simulation.inputs import Crowd, Measured, Platform
from tests.bench.simulation.model import Model

# A drop sends at most one stockUpdate in this time (STOCK_UPDATE_GAP_MS).
GAP_SECONDS = 0.25
OUTCOMES = ("ok", "sold_out", "busy", "throttled", "purchase")


@dataclass(frozen=True, slots=True)
class Messages:
    published: int
    billed: int
    viewers_most: int
    a_second_most: int


@dataclass(frozen=True, slots=True)
class Outcome:
    buyers: int
    units: int
    platform: Platform
    requests: int
    counts: dict[str, int]
    latency_ms: dict[str, dict[str, float]]
    sold_out_at: float | None
    instances: int
    cold_starts: int
    pooler_queue: int
    database_queue: int
    pooler_peak: float
    database_peak: float
    lock_conflicts: int
    messages: Messages
    cost: dict[str, float]
    plan: str


def run(platform: Platform, crowd: Crowd, measured: Measured, prices: dict[str, Any], units: int, seed: int) -> Outcome:
    """Simulate one drop to its horizon."""
    model = Model(platform, measured, units, seed)
    opening = Opening(model, crowd)
    model.env.run()
    messages = count_messages(model, opening, crowd)
    counts = {name: model.tally.count(name) for name in OUTCOMES}
    plan = _plan(prices["pusher"]["plans"], messages)
    return Outcome(
        buyers=crowd.buyers,
        units=units,
        platform=platform,
        requests=sum(counts.values()),
        counts=counts,
        latency_ms={name: _percentiles(model.tally.latencies[name]) for name in OUTCOMES if counts[name]},
        sold_out_at=model.tally.sold_out_at,
        instances=len(model.instances),
        cold_starts=model.tally.cold_starts,
        pooler_queue=max(model.pooler.longest_queue, model.connections.longest_queue),
        database_queue=model.database.longest_queue,
        pooler_peak=model.pooler.peak_use,
        database_peak=model.database.peak_use,
        lock_conflicts=model.tally.lock_conflicts,
        messages=messages,
        cost=_costs(model, platform, prices, sum(counts.values()) - counts["throttled"]),
        plan=plan,
    )


def _percentiles(seconds: list[float]) -> dict[str, float]:
    return {name: percentile(seconds, share) * 1000 for name, share in (("p50", 0.5), ("p99", 0.99))}


def count_messages(model: Model, opening: Opening, crowd: Crowd) -> Messages:
    """As Pusher bills: each publish, and each viewer who gets it."""
    arrivals = opening.arrivals

    def viewers(at: float) -> int:
        return bisect.bisect_right(arrivals, at) - bisect.bisect_right(arrivals, at - crowd.watches_seconds)

    published = model.tally.purchases + _folded(sorted(model.tally.stock_changes))
    billed, by_second = 0, dict[int, int]()
    for at in published:
        sent = viewers(at) + 1
        billed += sent
        by_second[int(at)] = by_second.get(int(at), 0) + sent
    most = max((viewers(at) for at in range(int(crowd.horizon_seconds))), default=0)
    return Messages(len(published), billed, most, max(by_second.values(), default=0))


def _folded(changes: list[float]) -> list[float]:
    """When stockUpdates go out: a change waits until a gap has passed since the one before."""
    sent: list[float] = []
    position = 0
    while position < len(changes):
        at = changes[position] if not sent else max(changes[position], sent[-1] + GAP_SECONDS)
        sent.append(at)
        position = bisect.bisect_right(changes, at, lo=position)
    return sent


def _costs(model: Model, platform: Platform, prices: dict[str, Any], invocations: int) -> dict[str, float]:
    """Money for the horizon; the channel's plan is by the month and stands apart."""
    database_hours = model.now / 3600 * platform.database_cores
    functions = _lambda_cost if platform.pricing == "lambda" else _vercel_cost
    return {
        "functions": functions(model, prices[platform.pricing], invocations),
        "database": database_hours * prices["neon"]["cu_hour"],
    }


def _vercel_cost(model: Model, prices: dict[str, Any], invocations: int) -> float:
    """Processor time while it works, memory while an instance is there, and each request."""
    busy_hours = sum(instance.processor.busy_seconds for instance in model.instances) / 3600
    cold_hours = model.tally.cold_starts * model.platform.cold_start_ms / 3_600_000
    alive_hours = sum(instance.alive_seconds(prices["idle_seconds"]) for instance in model.instances) / 3600
    return float(
        (busy_hours + cold_hours) * prices["active_cpu_hour"]
        + alive_hours * prices["memory_gb"] * prices["memory_gb_hour"]
        + invocations / 1e6 * prices["million_invocations"]
    )


def _lambda_cost(model: Model, prices: dict[str, Any], invocations: int) -> float:
    """Memory while a request is answered, starts too, and each request here and at the gateway."""
    answered = [seconds for name, times in model.tally.latencies.items() if name != "throttled" for seconds in times]
    return float(
        sum(answered) * prices["memory_gb"] * prices["gb_second"]
        + invocations / 1e6 * (prices["million_requests"] + prices["million_gateway_requests"])
    )


def _plan(plans: list[dict[str, Any]], messages: Messages) -> str:
    for plan in plans:
        if plan["connections"] >= messages.viewers_most and plan["messages_a_day"] >= messages.billed:
            return f"{plan['name']}, ${plan['month']} a month"
    return "none listed"
