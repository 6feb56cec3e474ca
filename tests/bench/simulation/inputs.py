"""What the simulation stands on: service times out of results.json, limits and prices out of inputs.toml."""

from __future__ import annotations

import statistics
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INPUTS = Path(__file__).with_name("inputs.toml")
# What the load generator itself takes for a request, measured (tests/bench/load.py).
CLIENT_MS = 0.07
KINDS = ("reserve", "refusal", "purchase")


@dataclass(frozen=True, slots=True)
class Service:
    """Processor milliseconds that one request takes in each process, and bytes of memory of one function."""

    function_ms: float
    database_ms: float
    pooler_ms: float
    channel_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What the benchmark found on this machine."""

    services: dict[str, Service]
    commit_ms: float

    @classmethod
    def of(cls, results: dict[str, Any]) -> Measured:
        """Raises KeyError with the scenario's name if it has not been measured."""
        parts = results["scenarios"]["cpu_parts"]["data"]
        far = {figure["name"]: figure["median"] for figure in results["scenarios"]["far_database"]["figures"]}
        services = {
            kind: Service(
                *(float(parts[kind][f"{process}_ms"]) for process in ("function", "postgres", "pooler", "channel"))
            )
            for kind in KINDS
        }
        # A plain insert on one connection is nearly all commit.
        return cls(services, statistics.fmean(ms for name, ms in far.items() if name.startswith("commit")))


@dataclass(frozen=True, slots=True)
class Platform:
    """Where it runs. `speed`: how fast a processor is there, in processors of this machine."""

    pricing: str
    instances_most: int
    instances_at_start: int
    new_instances_a_second: float
    requests_at_once: int
    cold_start_ms: float
    # Whether requests beyond all instances wait (a server's backlog) or are refused at once (a platform's limit).
    waits_at_limit: bool
    speed: float
    round_trip_ms: float
    poolers: int
    database_cores: int
    server_connections: int
    commit_ms: float
    database_timeout_ms: float


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who comes, when, and what they do with an answer. Shares are 0 to 1."""

    buyers: int
    spike_share: float
    spike_seconds: float
    tail_seconds: float
    tail_sigma: float
    bot_share: float
    bot_pause_seconds: float
    bot_tries: int
    again_share: float
    again_seconds: float
    busy_tries: int
    buys_share: float
    decides_seconds: float
    decides_sigma: float
    hold_seconds: float
    watches_seconds: float
    horizon_seconds: float


def load_inputs(path: Path = INPUTS) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def platform(inputs: dict[str, Any], **changes: Any) -> Platform:
    return Platform(**{**inputs["platform"], **changes})


def crowd(inputs: dict[str, Any], **changes: Any) -> Crowd:
    return Crowd(**{**inputs["crowd"], **changes})
