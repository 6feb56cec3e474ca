"""Does the model know this machine? It must predict the drain and the storm that were measured here."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from tests.bench.measure import percentile
from tests.bench.simulation.crowds import Circle
from tests.bench.simulation.inputs import CLIENT_MS, Measured, Platform, Service
from tests.bench.simulation.model import Model
from tests.bench.size import SIZES

WITHIN = 0.25


@dataclass(frozen=True, slots=True)
class Check:
    """One figure as predicted and as measured. Only some are held to the bound."""

    name: str
    unit: str
    predicted: float
    measured: float
    is_held: bool

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1

    @property
    def is_met(self) -> bool:
        return abs(self.error) <= WITHIN


def this_machine(measured: Measured, connections: int, cores: int) -> Platform:
    """The benchmark's stack: one process of functions; everything else shares what that leaves of the processors."""
    return Platform(
        pricing="none", instances_most=1, instances_at_start=1, new_instances_a_second=0.0,
        requests_at_once=connections, cold_start_ms=0.0, waits_at_limit=True, speed=1.0, round_trip_ms=0.0,
        poolers=1, database_cores=max(1, cores - 1), server_connections=10, commit_ms=measured.commit_ms,
        database_timeout_ms=60_000.0,
    )  # fmt: skip


def _with_neighbors(measured: Measured) -> Measured:
    """Client, pooler and channel run beside Postgres here: their processor time is the database's too."""
    services = {
        kind: Service(
            service.function_ms,
            service.database_ms + service.pooler_ms + service.channel_ms + CLIENT_MS,
            0.0,
            0.0,
        )
        for kind, service in measured.services.items()
    }
    return Measured(services, measured.commit_ms)


def checks(results: dict[str, Any], measured: Measured, seed: int) -> list[Check]:
    """Predictions beside the benchmark's medians."""
    scenario = results["scenarios"]["http_drop"]
    size = SIZES[scenario["size"]]
    platform = this_machine(measured, size.http_connections, results["machine"]["cores"])
    found: list[Check] = []
    for name, units, buyers in (
        ("drain", size.drain_units, size.drain_units),
        ("storm", size.storm_units, size.storm_buyers),
    ):
        model = Model(platform, _with_neighbors(measured), units, seed)
        Circle(model, buyers, size.http_connections)
        model.env.run()
        latencies = [seconds for kind in model.tally.latencies.values() for seconds in kind]
        assert model.tally.count("ok") == units and len(latencies) == buyers
        data = scenario["data"][name]
        rate = statistics.median(data["per_second"])
        found.append(Check(f"{name}: requests", "/s", buyers / model.tally.last_answer, rate, True))
        mean = statistics.median(data["mean_ms"])
        found.append(Check(f"{name}: mean latency", "ms", statistics.fmean(latencies) * 1000, mean, True))
        for key, share, is_held in (("50", 0.5, True), ("99", 0.99, False)):
            there = statistics.median(latency[key] for latency in data["latency_ms"])
            found.append(Check(f"{name}: p{key} latency", "ms", percentile(latencies, share) * 1000, there, is_held))
    return found
