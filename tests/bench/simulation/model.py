"""The way of a request: instance, pooler, Postgres, commit, and back. simpy keeps the calendar.

submit -> (cold start) -> first half of the function's work -> way to the database -> pooler -> Postgres
       -> commit -> way back -> second half -> answer
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import simpy

from tests.bench.simulation.inputs import Measured, Platform, Service
from tests.bench.simulation.stations import Station, Stock

# Of lib/inventory.py: how often, and after which pauses, a buyer who meets only locked stripes is tried again.
BUSY_ATTEMPTS = 12
BUSY_PAUSE_MS, BUSY_PAUSE_MAX_MS = 2.0, 50.0
# Service times spread around their mean as a gamma distribution of this shape does (a deviation of half the mean).
# Drawn once: a million buyers take several million of them.
SHAPE = 4.0
DRAWS = 8_192


@dataclass(slots=True)
class Request:
    kind: str
    answer: Callable[[Request], None]
    born: float
    buyer: Any = None
    stripe: int = -1
    outcome: str = ""
    tries: int = 0
    instance: Instance | None = None


class Instance:
    """One process of a function: one processor, some requests at once."""

    __slots__ = ("in_flight", "last_answer", "processor", "ready_at", "started_at")

    def __init__(self, now: float, ready_at: float) -> None:
        self.processor = Station(1)
        self.in_flight = 0
        self.started_at, self.ready_at = now, ready_at
        self.last_answer = now

    def alive_seconds(self, idle_seconds: float) -> float:
        """From its start to when a platform takes it away, that long after its last answer."""
        return self.last_answer + idle_seconds - self.started_at


@dataclass(slots=True)
class Tally:
    """What happened. Latencies in seconds by outcome."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    cold_starts: int = 0
    lock_conflicts: int = 0
    instances: int = 0
    sold_out_at: float | None = None
    stock_changes: list[float] = field(default_factory=list)
    purchases: list[float] = field(default_factory=list)
    last_answer: float = 0.0

    def count(self, outcome: str) -> int:
        return len(self.latencies.get(outcome, ()))


class Model:
    """One drop on one platform."""

    def __init__(self, platform: Platform, measured: Measured, units: int, seed: int) -> None:
        self.env = simpy.Environment()
        self.random = random.Random(seed)
        self.platform, self.stock, self.tally = platform, Stock(units), Tally()
        draws = [self.random.gammavariate(SHAPE, 1 / SHAPE) for _ in range(DRAWS)]
        mean = sum(draws) / DRAWS
        self._factors = [draw / mean / 1000 for draw in draws]
        self._services = {kind: _scaled(service, platform.speed) for kind, service in measured.services.items()}
        self.database = Station(platform.database_cores)
        self.pooler = Station(platform.poolers)
        self.connections = Station(platform.server_connections)
        self._open: deque[Instance] = deque(Instance(0.0, 0.0) for _ in range(platform.instances_at_start))
        self.instances = list(self._open)
        self._waiting: deque[Request] = deque()
        self._commit = platform.commit_ms / 1000
        self._half_trip = platform.round_trip_ms / 2000
        self._timeout = platform.database_timeout_ms / 1000

    @property
    def now(self) -> float:
        return float(self.env.now)

    def after(self, seconds: float, call: Callable[[Any], None], value: Any = None) -> None:
        """Call `call(value)` that much later."""
        event = self.env.timeout(seconds, (call, value))
        assert event.callbacks is not None
        event.callbacks.append(_call)

    def submit(self, request: Request) -> None:
        """A request reaches the platform."""
        instance = self._place()
        if instance is not None:
            self._begin(request, instance)
        elif self.platform.waits_at_limit:
            self._waiting.append(request)
        else:
            self._finish(request, "throttled")

    def _place(self) -> Instance | None:
        """An instance with room, else a new one, else None."""
        while self._open:
            instance = self._open[0]
            if instance.in_flight < self.platform.requests_at_once:
                # Turn about, as a load balancer does.
                self._open.rotate(-1)
                return instance
            self._open.popleft()
        allowed = self.platform.instances_at_start + self.now * self.platform.new_instances_a_second
        if len(self.instances) >= min(self.platform.instances_most, max(1.0, allowed)):
            return None
        instance = Instance(self.now, self.now + self.platform.cold_start_ms / 1000)
        self.instances.append(instance)
        self._open.append(instance)
        self.tally.cold_starts += 1
        return instance

    def _begin(self, request: Request, instance: Instance) -> None:
        request.instance = instance
        instance.in_flight += 1
        begins = max(self.now, instance.ready_at)
        ends = instance.processor.serve(begins, self._spread(self._services[request.kind].function_ms / 2))
        self.after(ends - self.now + self._half_trip, self._ask, request)

    def _ask(self, request: Request) -> None:
        """The statement reaches the pooler."""
        service = self._services[request.kind]
        arrival = self.pooler.serve(self.now, service.pooler_ms / 1000)
        start = max(self.database.start(arrival), self.connections.start(arrival))
        if start - request.born > self._timeout:
            # The function gives up; what waits in a pooler's queue is dropped with its connection.
            request.outcome = "busy"
            self.after(max(0.0, request.born + self._timeout - self.now), self._reply, request)
            return
        request.outcome, service, writes = self._decide(request, start)
        processor = self._spread(service.database_ms)
        ends = self.database.serve(arrival, processor, start) + (self._commit if writes else 0.0)
        self.connections.serve(arrival, ends - start, start)
        if request.stripe >= 0 and request.outcome == "ok" and request.kind == "reserve":
            self.stock.lock(request.stripe, ends)
            self.tally.stock_changes.append(ends)
        if request.outcome == "locked" and request.tries < BUSY_ATTEMPTS:
            pause = min(BUSY_PAUSE_MS * 2 ** (request.tries - 1), BUSY_PAUSE_MAX_MS) / 1000
            self.after(
                ends - self.now + 2 * self._half_trip + pause * self.random.uniform(0.5, 1.0), self._ask, request
            )
            return
        self.after(ends - self.now + self._half_trip, self._reply, request)

    def _decide(self, request: Request, start: float) -> tuple[str, Service, bool]:
        """(outcome, what it costs, whether it writes), as the SQL functions decide."""
        if request.kind == "purchase":
            return "ok", self._services["purchase"], True
        if self.stock.left == 0:
            if self.tally.sold_out_at is None:
                self.tally.sold_out_at = self.now
            return "sold_out", self._services["refusal"], False
        stripe = self.stock.take(self.random.random(), start)
        request.tries += 1
        if stripe is None:
            self.tally.lock_conflicts += 1
            return "locked", self._services["refusal"], False
        request.stripe = stripe
        return "ok", self._services["reserve"], True

    def _reply(self, request: Request) -> None:
        instance = request.instance
        assert instance is not None
        kind = "refusal" if request.outcome != "ok" else request.kind
        ends = instance.processor.serve(self.now, self._spread(self._services[kind].function_ms / 2))
        self.after(ends - self.now, self._answer, request)

    def _answer(self, request: Request) -> None:
        instance = request.instance
        assert instance is not None
        instance.in_flight -= 1
        instance.last_answer = self.now
        if instance.in_flight == self.platform.requests_at_once - 1:
            self._open.append(instance)
        self._finish(request, "busy" if request.outcome == "locked" else request.outcome)
        if self._waiting:
            self.submit(self._waiting.popleft())

    def _finish(self, request: Request, outcome: str) -> None:
        request.outcome = outcome
        name = "purchase" if request.kind == "purchase" and outcome == "ok" else outcome
        self.tally.latencies.setdefault(name, []).append(self.now - request.born)
        self.tally.last_answer = self.now
        request.answer(request)

    def _spread(self, milliseconds: float) -> float:
        """A service time in seconds, around its mean."""
        return milliseconds * self._factors[int(self.random.random() * DRAWS)]


def _call(event: simpy.Event) -> None:
    assert event.value is not None
    call, value = event.value
    call(value)


def _scaled(service: Service, speed: float) -> Service:
    return Service(
        service.function_ms / speed, service.database_ms / speed, service.pooler_ms / speed, service.channel_ms / speed
    )
