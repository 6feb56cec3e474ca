"""A sale on the database's own clock, without waiting for it, and the messages that it publishes.

What decides how much is published is real: the SQL functions of the sale, claim_events with its rates, and the mapping
of lib/events.py. Only the clock is moved from one action to the next, and messages are counted instead of sent.
"""

import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from lib import events, inventory
from lib.errors import SoldOut
from lib.events import MIN_PAUSE_SECONDS
from tests.support.database import Database
from tests.support.outbox import Outbox

UNITS = 500
SECONDS = 60.0
# Who takes a unit and gives it back; somebody else buys it.
GIVEN_BACK = 50
LONGEST_THOUGHT_SECONDS = 15.0


@dataclass(frozen=True)
class Bill:
    """How often the sale changed something, and what was published of it, by event name."""

    stock_changes: int
    purchases: int
    published: Counter[str]

    @property
    def naive(self) -> int:
        """One message for each change."""
        return self.stock_changes + self.purchases


def steady(dice: random.Random) -> float:
    """When a buyer comes: any time before the last ones have to think."""
    return dice.uniform(0, SECONDS - LONGEST_THOUGHT_SECONDS)


def rushed(dice: random.Random) -> float:
    """Half of all come within the first five seconds."""
    return min(SECONDS - LONGEST_THOUGHT_SECONDS, -5 / math.log(2) * math.log(1 - dice.random()))


class Sale:
    """UNITS units, sold within SECONDS of the database's clock."""

    def __init__(self, database: Database, drop: int, users: list[int], gap_ms: int) -> None:
        self._database, self._drop, self._users = database, drop, iter(users)
        self._outbox, self._gap_ms = Outbox(database), gap_ms
        self._dice = random.Random(UNITS)
        self._order = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._next_claim = math.inf
        self._stock_changes = self._purchases = 0
        self._published: Counter[str] = Counter()

    def run(self, arrival: Callable[[random.Random], float]) -> Bill:
        self._outbox.settle()
        self._began: datetime = self._database.value("select clock()")
        for number in range(UNITS + GIVEN_BACK):
            self._comes(arrival(self._dice), next(self._users), buys=number >= GIVEN_BACK)
        while self._agenda:
            now, _, act = heapq.heappop(self._agenda)
            self._database.freeze_clock(self._began + timedelta(seconds=now))
            act(now)
        return Bill(self._stock_changes, self._purchases, self._published)

    def _at(self, now: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._agenda, (now, next(self._order), act))

    def _comes(self, now: float, user: int, buys: bool) -> None:
        self._at(now, lambda then: self._reserve(then, user, buys))

    def _reserve(self, now: float, user: int, buys: bool) -> None:
        try:
            hold = inventory.reserve(self._drop, user)
        except SoldOut:  # for now: some give back what they took
            return self._comes(now + 0.5, user, buys)
        self._stock_changes += 1
        thought = now + self._dice.uniform(2, LONGEST_THOUGHT_SECONDS)
        self._at(thought, lambda then: self._decide(then, hold.id, user, buys))
        self._claim(now)

    def _decide(self, now: float, hold: int, user: int, buys: bool) -> None:
        if buys:
            inventory.purchase(hold, user)
            self._purchases += 1
        else:
            inventory.release(hold, user)
            self._stock_changes += 1
        self._claim(now)

    def _claim(self, now: float) -> None:
        """As the courier does after each change, and again when the database says that it should."""
        found, next_in_ms = self._outbox.claim_and_wait(gap_ms=self._gap_ms)
        self._outbox.ack(found)
        self._published.update(message.name for event in found for message in events.messages(event))
        if next_in_ms is None or now < self._next_claim <= now + next_in_ms / 1000:
            return
        self._next_claim = now + max(next_in_ms / 1000, MIN_PAUSE_SECONDS)
        self._at(self._next_claim, self._claim)
