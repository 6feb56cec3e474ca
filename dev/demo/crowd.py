"""A crowd of buyers with human habits: some come late, some think too long, walk away or change their mind."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2

# Shares of the crowd. The rest waits for the opening and buys what it holds.
LATE = 0.25
WALKS_AWAY = 0.12
CHANGES_MIND = 0.06
# Seconds. Reactions and thinking are lognormal: most are quick, and a few take very long.
REACTION_MEDIAN, REACTION_SIGMA = 0.45, 0.7
THINKING_MEDIAN_SHARE, THINKING_SIGMA = 0.3, 0.6
# A refused buyer tries again this often, hoping for a returned unit.
RETRIES = 3
REQUEST_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: what was asked, status and code of the reply ('ok' for success), milliseconds, when (monotonic)."""

    kind: str
    status: int
    code: str
    ms: float
    at: float


@dataclass
class Ledger:
    """What the crowd knows from replies alone: the shop's own figures are held against it at the end."""

    answers: list[Answer] = field(default_factory=list)
    held: set[int] = field(default_factory=set)
    holds: set[int] = field(default_factory=set)
    purchases: dict[int, int] = field(default_factory=dict)  # reservation: purchase
    buyer_of: dict[int, int] = field(default_factory=dict)  # purchase: user
    released: set[int] = field(default_factory=set)
    lapsed: set[int] = field(default_factory=set)
    gone: int = 0  # buyers who have left

    def refusals(self) -> int:
        return sum(1 for answer in self.answers if answer.kind == "reserve" and answer.status >= 400)

    def latencies(self, kind: str) -> list[float]:
        return [answer.ms for answer in self.answers if answer.kind == kind]


@dataclass
class Shop:
    """The API as a buyer meets it; every reply goes into the ledger."""

    http: httpx2.AsyncClient
    drop: dict[str, Any]
    ledger: Ledger
    jitter: random.Random = field(default_factory=random.Random)

    async def ask(self, kind: str, method: str, path: str, user: int, **more: Any) -> tuple[str, dict[str, Any]]:
        """(code, body) of the reply; a lost one is asked for again, which is safe."""
        while True:
            began = time.monotonic()
            try:
                reply = await self.http.request(method, path, json={"userId": user, **more})
            except httpx2.TransportError:
                self._note(kind, 0, "no_reply", began)
                await asyncio.sleep(self.jitter.uniform(0.2, 1.0))
                continue
            body: dict[str, Any] = reply.json()
            code = "ok" if reply.is_success else str(body.get("code", reply.status_code))
            self._note(kind, reply.status_code, code, began)
            if reply.status_code != 503:
                return code, body
            await asyncio.sleep(float(reply.headers.get("Retry-After", 1)) * self.jitter.uniform(0.5, 1.5))

    def _note(self, kind: str, status: int, code: str, began: float) -> None:
        now = time.monotonic()
        self.ledger.answers.append(Answer(kind, status, code, (now - began) * 1000, now))


@dataclass
class Buyer:
    """One person; `dice` makes their habits, so that a seed gives the same crowd again."""

    shop: Shop
    user: int
    opens_at: float  # monotonic
    dice: random.Random

    async def live(self) -> None:
        """From looking at the page to leaving it."""
        late = self.dice.random() < LATE
        wait = self.dice.expovariate(1 / self.shop.drop["holdSeconds"]) if late else self._reaction()
        await asyncio.sleep(max(0.0, self.opens_at - time.monotonic()) + wait)
        for _ in range(1 + RETRIES):
            if await self._try_once():
                break
            # Back to the page when the next hold may end, give or take.
            await asyncio.sleep(self.dice.uniform(0.3, 1.2) * self.shop.drop["holdSeconds"])
            if len(self.shop.ledger.purchases) == self.shop.drop["totalStock"]:
                break  # the page says by now that every unit has been bought
        self.shop.ledger.gone += 1

    def _reaction(self) -> float:
        return REACTION_MEDIAN * self.dice.lognormvariate(0, REACTION_SIGMA)

    async def _try_once(self) -> bool:
        """Whether this buyer is done: bought, or does not want to any more."""
        sizes = [size["size"] for size in self.shop.drop["sizes"] if size["size"]]
        wish = {"size": self.dice.choice(sizes)} if sizes else {}
        code, body = await self.shop.ask("reserve", "POST", f"/api/reserve/{self.shop.drop['id']}", self.user, **wish)
        if code != "ok":
            return code not in ("sold_out", "drop_not_started")
        hold = body["reservation"]["id"]
        self.shop.ledger.holds.add(hold)
        self.shop.ledger.held.add(hold)
        return await self._decide(hold)

    async def _decide(self, hold: int) -> bool:
        ledger, mood = self.shop.ledger, self.dice.random()
        seconds = self.shop.drop["holdSeconds"]
        thinking = seconds * THINKING_MEDIAN_SHARE * self.dice.lognormvariate(0, THINKING_SIGMA)
        if mood < WALKS_AWAY:
            await asyncio.sleep(seconds)
            self._lapse(hold)
            return True
        await asyncio.sleep(thinking)
        if mood < WALKS_AWAY + CHANGES_MIND:
            code, _ = await self.shop.ask("release", "DELETE", f"/api/reservations/{hold}", self.user)
            if code == "ok":
                ledger.held.discard(hold)
                ledger.released.add(hold)
            else:
                self._lapse(hold)
            return True
        code, body = await self.shop.ask("purchase", "POST", f"/api/purchase/{hold}", self.user)
        if code == "ok":
            ledger.held.discard(hold)
            ledger.purchases[hold] = body["purchase"]["id"]
            ledger.buyer_of[body["purchase"]["id"]] = self.user
            return True
        # Thought too long: the unit is on sale again, and this buyer may try for it like everybody.
        self._lapse(hold)
        return False

    def _lapse(self, hold: int) -> None:
        self.shop.ledger.held.discard(hold)
        self.shop.ledger.lapsed.add(hold)
