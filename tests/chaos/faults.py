"""What is broken, how, and for how long. Each fault breaks one part and mends it again."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx2

from dev.processes import say
from tests.chaos.world import CRON_SECRET, Instance, World

PAUSE_SECONDS = (0.5, 3.0)
OUTAGE_SECONDS = (0.2, 2.5)
SKEWS_HOURS = (-30.0, -5.0, 7.0, 48.0)


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault: its kind, when it began and when it was over (monotonic)."""

    kind: str
    began_at: float
    ended_at: float


@dataclass
class Faults:
    """Two schedules side by side: one for the functions, one for what they stand on."""

    world: World
    seed: int
    quiet: bool = False
    rounds: int | None = None  # of every kind of fault; None: until stopped
    injected: list[Injected] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for offset, kinds in enumerate((self.of_functions(), self.of_parts())):
            thread = threading.Thread(target=self._schedule, args=(kinds, random.Random(self.seed + offset)))
            thread.start()
            self._threads.append(thread)

    def are_over(self) -> bool:
        """Whether every round is done, or one of them failed."""
        return bool(self.failures) or not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Let the faults in hand end; everything is mended when this returns."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
        if self.failures:
            raise self.failures[0]

    def _schedule(self, kinds: dict[str, Callable[[random.Random], None]], dice: random.Random) -> None:
        """Each kind once in a random order, and again, so that a short run has them all."""
        try:
            for _ in itertools.count() if self.rounds is None else range(self.rounds):
                for kind in dice.sample(sorted(kinds), len(kinds)):
                    if self._stop.wait(dice.uniform(*PAUSE_SECONDS)):
                        return
                    began_at = time.monotonic()
                    kinds[kind](dice)
                    self.injected.append(Injected(kind, began_at, time.monotonic()))
                    if not self.quiet:
                        say(f"  {kind}, {time.monotonic() - began_at:.1f} s")
        except BaseException as error:
            self.failures.append(error)

    def of_functions(self) -> dict[str, Callable[[random.Random], None]]:
        return {
            "a function killed (-9)": self.kill,
            "a function frozen and thawed": self.freeze,
            "a function's clock shifted by hours": self.skew,
        }

    def of_parts(self) -> dict[str, Callable[[random.Random], None]]:
        return {
            "PgBouncer restarted": lambda dice: self.world.pgbouncer.restart(),
            "Postgres crashed and started": self.crash_postgres,
            "database cut off": self.cut_database,
            "database slowed": self.slow_database,
            "channel cut off": self.cut_channel,
            "channel slowed": self.slow_channel,
            "three sweeps at once": self.three_sweeps,
        }

    def _pause(self, dice: random.Random) -> None:
        time.sleep(dice.uniform(*OUTAGE_SECONDS))

    def _any(self, dice: random.Random, *, mortal: bool) -> Instance:
        """The first instance lives through the whole run, so that its memory can be watched."""
        return dice.choice(self.world.instances[1:] if mortal else self.world.instances)

    def kill(self, dice: random.Random) -> None:
        instance = self._any(dice, mortal=True)
        instance.kill()
        self._pause(dice)
        instance.start()

    def freeze(self, dice: random.Random) -> None:
        with self._any(dice, mortal=False).frozen():
            self._pause(dice)

    def skew(self, dice: random.Random) -> None:
        instance = self._any(dice, mortal=True)
        instance.kill()
        instance.skew_hours = 0.0 if instance.skew_hours else dice.choice(SKEWS_HOURS)
        instance.start()

    def crash_postgres(self, dice: random.Random) -> None:
        self.world.postgres.stop("immediate")
        self._pause(dice)
        self.world.postgres.start()

    def cut_database(self, dice: random.Random) -> None:
        self.world.database_relay.cut()
        self._pause(dice)
        self.world.database_relay.mend()

    def slow_database(self, dice: random.Random) -> None:
        self.world.database_relay.delay_seconds = dice.uniform(0.01, 0.2)
        self._pause(dice)
        self.world.database_relay.mend()

    def cut_channel(self, dice: random.Random) -> None:
        self.world.channel_relay.cut()
        self._pause(dice)
        self.world.channel_relay.mend()

    def slow_channel(self, dice: random.Random) -> None:
        self.world.channel_relay.delay_seconds = dice.uniform(0.1, 3.0)
        self._pause(dice)
        self.world.channel_relay.mend()

    def three_sweeps(self, dice: random.Random) -> None:
        def sweep(instance: Instance) -> None:
            # A sweep that meets another fault is lost, as on a platform.
            with contextlib.suppress(httpx2.TransportError):
                headers = {"Authorization": f"Bearer {CRON_SECRET}"}
                httpx2.get(f"{instance.url}/api/cron/reap", headers=headers, timeout=15)

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(sweep, [self._any(dice, mortal=False) for _ in range(3)]))
