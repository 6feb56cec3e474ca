"""One run from start to verdict."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2

from dev.ports import wait_until
from tests.chaos.faults import Faults, Injected
from tests.chaos.storm import HOLD_SECONDS, Drop, Ledger, Storm
from tests.chaos.verdict import EVENTS_SECONDS, Check, check, judge, judge_events
from tests.chaos.world import CRON_SECRET, World
from tests.support.subscriber import Subscriber

# Shorter runs say nothing about memory: caches are still filling.
MEMORY_JUDGED_FROM_SECONDS = 240.0
MEMORY_GROWTH_MOST = 1.2
LEAVING_SECONDS = 180.0
SAMPLE_SECONDS = 1.0


@dataclass
class Report:
    """What one run came to."""

    faults: list[Injected]
    ledger: Ledger
    seconds: float
    memory_mb: list[float]
    events_seconds: float
    checks: list[Check] = field(default_factory=list)

    def broken(self) -> list[Check]:
        return [item for item in self.checks if item.breaches]

    def figures(self) -> dict[str, str]:
        ledger = self.ledger
        lost = sum(c.breaches for c in self.checks if c.rule.startswith("every acknowledged"))
        doubled = sum(c.breaches for c in self.checks if "doubled" in c.rule)
        return {
            "faults injected": str(len(self.faults)),
            "requests": str(ledger.requests),
            "holds acknowledged": str(len(ledger.holds)),
            "purchases acknowledged": str(len(ledger.purchases)),
            "releases acknowledged": str(len(ledger.released)),
            "refused": str(sum(ledger.refused.values())),
            "given up without an answer": str(ledger.gave_up),
            "lost": str(lost),
            "doubled": str(doubled),
            "longest recovery, s": f"{self.longest_recovery_seconds():.1f}",
            "slowest undisturbed reply, s": f"{ledger.slowest_seconds:.1f}",
            "last event after the channel is back, s": f"{self.events_seconds:.1f}",
            "memory, MB (quarter, end)": f"{self.memory_mb[len(self.memory_mb) // 4]:.0f}, {self.memory_mb[-1]:.0f}",
        }

    def longest_recovery_seconds(self) -> float:
        """From the end of faults that overlap to the next answer that anybody got."""
        answers = sorted(self.ledger.acknowledged_at)
        ends: list[float] = []
        for fault in sorted(self.faults, key=lambda fault: fault.began_at):
            if ends and fault.began_at <= ends[-1]:
                ends[-1] = max(ends[-1], fault.ended_at)
            else:
                ends.append(fault.ended_at)
        return max((next((at - end for at in answers if at >= end), 0.0) for end in ends), default=0.0)


def run_chaos(
    seconds: float, seed: int, buyers: int, instances: int, *, rounds: int | None = None, quiet: bool = False
) -> Report:
    """Start a world, let the storm and the faults loose on it for `seconds` or `rounds`, mend everything, judge."""
    with World(instances) as world:
        drops, totals = make_drops(world)
        channels = [f"{kind}-{drop.id}" for drop in drops for kind in ("cache-drop", "drop")]
        with Subscriber(world.soketi.env(), *channels) as viewer:
            storm, faults = Storm(world.instances, drops, buyers, seed), Faults(world, seed, quiet, rounds)
            thread = threading.Thread(target=storm.run)
            thread.start()
            memory = _let_loose(world, faults, seconds)
            storm.stop()
            thread.join(LEAVING_SECONDS)
            left = ["the storm did not end"] if thread.is_alive() else []
            healed_at = time.monotonic()
            settle(world, storm.ledger, drops)
            wait_until(lambda: not _broken(judge_events(world, viewer, drops)), EVENTS_SECONDS)
            left += [f"{storm.ledger.gave_up} buyers gave up"] if storm.ledger.gave_up else []
            report = Report(faults.injected, storm.ledger, seconds, memory, time.monotonic() - healed_at)
            report.checks = [
                *judge(world, storm.ledger, drops, totals),
                *judge_events(world, viewer, drops),
                check("everybody got an answer in the end", left),
                check("memory flat", _growth(memory, seconds)),
            ]
            return report


def _let_loose(world: World, faults: Faults, seconds: float) -> list[float]:
    """The memory of the instance that is never killed, sampled while everything else goes wrong."""
    memory = [world.instances[0].memory_mb()]
    until = time.monotonic() + seconds
    faults.start()
    try:
        while time.monotonic() < until and not faults.are_over():
            time.sleep(min(SAMPLE_SECONDS, max(0.0, until - time.monotonic())))
            memory.append(world.instances[0].memory_mb())
    finally:
        faults.stop()
    return memory


def _growth(memory: list[float], seconds: float) -> list[str]:
    early, late = memory[len(memory) // 4], memory[-1]
    if seconds < MEMORY_JUDGED_FROM_SECONDS or late <= early * MEMORY_GROWTH_MOST:
        return []
    return [f"{early:.0f} MB after a quarter, {late:.0f} MB at the end"]


def _broken(checks: list[Check]) -> bool:
    return any(item.breaches for item in checks)


def make_drops(world: World) -> tuple[list[Drop], Counter[tuple[int, str]]]:
    """One drop without sizes, one with; and the units each was made with."""
    wishes = [
        {"name": "One size", "price": 10, "totalStock": 60, "holdSeconds": HOLD_SECONDS},
        {"name": "Two sizes", "price": 20, "holdSeconds": HOLD_SECONDS,
         "sizes": [{"size": "M", "stock": 40}, {"size": "L", "stock": 7}]},
    ]  # fmt: skip
    drops, totals = [], Counter[tuple[int, str]]()
    for wish in wishes:
        made = (
            httpx2.post(f"{world.instances[0].url}/api/drops", json=wish, timeout=30).raise_for_status().json()["drop"]
        )
        drops.append(Drop(made["id"], tuple(size["size"] for size in made["sizes"])))
        totals.update({(made["id"], size["size"]): size["totalStock"] for size in made["sizes"]})
    return drops, totals


def settle(world: World, ledger: Ledger, drops: list[Drop]) -> None:
    """The clock goes on as on any day: expire what was walked away from, deliver what is left."""

    def is_quiet() -> bool:
        with contextlib.suppress(httpx2.TransportError):
            headers = {"Authorization": f"Bearer {CRON_SECRET}"}
            httpx2.get(f"{world.instances[0].url}/api/cron/reap", headers=headers, timeout=30)
        with world.connect() as connection:
            query = "select (select count(*) from reservations where status = 'ACTIVE') + (select count(*) from outbox)"
            row = connection.execute(query).fetchone()
            return row is not None and row[0] == 0

    wait_until(is_quiet, HOLD_SECONDS + EVENTS_SECONDS)
