"""Buyers who never give up: every request whose reply is lost is repeated, wherever, until something answers."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.chaos.world import CRON_SECRET, USERS, Instance

# A reply may take the request's own time limit and a busy machine's delay; over this it hung.
LIMIT_SECONDS = 6.0
CLIENT_SECONDS = 15.0
PATIENCE_SECONDS = 90.0
SWEEP_EVERY_SECONDS = 3.0
RESTOCK_EVERY_SECONDS = 2.0
HOLD_SECONDS = 3
RESTOCKED = 12


class GaveUp(Exception):
    """No answer in PATIENCE_SECONDS: what became of the request is not known."""


@dataclass(frozen=True, slots=True)
class Drop:
    id: int
    sizes: tuple[str, ...]


@dataclass
class Ledger:
    """What was acknowledged. Only a reply counts: what was asked and not answered binds nobody."""

    requests: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    holds: dict[int, tuple[int, int, str]] = field(default_factory=dict)  # id: (user, drop, size)
    purchases: dict[int, set[int]] = field(default_factory=dict)  # reservation: purchase ids told
    released: set[int] = field(default_factory=set)
    too_late: set[int] = field(default_factory=set)  # purchase refused for good
    restocked: Counter[tuple[int, str]] = field(default_factory=Counter)  # (drop, size): units
    gave_up: int = 0
    broken: list[str] = field(default_factory=list)  # replies that no fault excuses
    hung: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    acknowledged_at: list[float] = field(default_factory=list)


@dataclass
class Storm:
    """`buyers` people at once, and who restocks and sweeps meanwhile, until `stop`."""

    instances: list[Instance]
    drops: list[Drop]
    buyers: int
    seed: int
    ledger: Ledger = field(default_factory=Ledger)
    stopping: bool = False
    _next_user: int = 0

    def run(self) -> None:
        """To be run in a thread of its own; returns when everybody has left."""
        asyncio.run(self._run())

    def stop(self) -> None:
        self.stopping = True

    async def _run(self) -> None:
        limits = httpx2.Limits(max_connections=self.buyers + 16)
        async with httpx2.AsyncClient(timeout=CLIENT_SECONDS, limits=limits) as http:
            people = [self._shop(http, random.Random(self.seed + n)) for n in range(self.buyers)]
            await asyncio.gather(*people, self._restock(http), self._sweep(http))

    async def _shop(self, http: httpx2.AsyncClient, dice: random.Random) -> None:
        while not self.stopping:
            self._next_user += 1
            user = self._next_user % USERS + 1
            drop = dice.choice(self.drops)
            try:
                await self._visit(http, dice, user, drop)
            except GaveUp:
                self.ledger.gave_up += 1

    async def _visit(self, http: httpx2.AsyncClient, dice: random.Random, user: int, drop: Drop) -> None:
        size = dice.choice(drop.sizes)
        wish = {"userId": user, **({"size": size} if size else {})}
        status, body = await self._ask(http, dice, "POST", f"/api/reserve/{drop.id}", wish)
        if status not in (200, 201):
            self._refuse(body)
            await asyncio.sleep(dice.uniform(0.01, 0.2))
            return
        held = body["reservation"]
        self.ledger.holds[held["id"]] = (user, drop.id, held["size"])
        mood = dice.random()
        if mood < 0.15:
            return
        await asyncio.sleep(dice.uniform(0, HOLD_SECONDS * 1.1) * dice.random())
        if mood < 0.35:
            await self._release(http, dice, user, held["id"])
        else:
            await self._purchase(http, dice, user, held["id"])

    async def _release(self, http: httpx2.AsyncClient, dice: random.Random, user: int, hold: int) -> None:
        status, body = await self._ask(http, dice, "DELETE", f"/api/reservations/{hold}", {"userId": user})
        if status == 200:
            self.ledger.released.add(hold)
        else:
            self._refuse(body)

    async def _purchase(self, http: httpx2.AsyncClient, dice: random.Random, user: int, hold: int) -> None:
        for _ in range(2 if dice.random() < 0.2 else 1):  # some tap twice
            status, body = await self._ask(http, dice, "POST", f"/api/purchase/{hold}", {"userId": user})
            if status in (200, 201):
                self.ledger.purchases.setdefault(hold, set()).add(body["purchase"]["id"])
            else:
                self._refuse(body)
                self.ledger.too_late.add(hold)

    async def _restock(self, http: httpx2.AsyncClient) -> None:
        dice = random.Random(self.seed - 1)
        while not self.stopping:
            drop = dice.choice(self.drops)
            size = dice.choice(drop.sizes)
            wish = {"quantity": RESTOCKED, **({"size": size} if size else {})}
            key = {"Idempotency-Key": uuid.UUID(int=dice.getrandbits(128)).hex}
            try:
                status, body = await self._ask(http, dice, "POST", f"/api/drops/{drop.id}/restock", wish, key)
            except GaveUp:
                self.ledger.broken.append("a restock got no answer, so the total is not known")
                return
            if status == 200:
                self.ledger.restocked[drop.id, size] += RESTOCKED
            else:
                self.ledger.broken.append(f"restock: {status} {body}")
            await asyncio.sleep(RESTOCK_EVERY_SECONDS)

    async def _sweep(self, http: httpx2.AsyncClient) -> None:
        """The clock: calls that are lost are not repeated, as on a platform."""
        dice = random.Random(self.seed - 2)
        while not self.stopping:
            await self.sweep_once(http, dice)
            await asyncio.sleep(SWEEP_EVERY_SECONDS)

    async def sweep_once(self, http: httpx2.AsyncClient, dice: random.Random) -> None:
        try:
            instance = dice.choice(self.instances)
            await http.get(f"{instance.url}/api/cron/reap", headers={"Authorization": f"Bearer {CRON_SECRET}"})
        except httpx2.TransportError:
            return

    def _refuse(self, body: dict[str, Any]) -> None:
        self.ledger.refused[str(body.get("code"))] += 1

    async def _ask(
        self, http: httpx2.AsyncClient, dice: random.Random, method: str, path: str, body: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:  # fmt: skip
        """The first reply that is not 503, from whichever instance. Raises GaveUp."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up:
            instance = dice.choice(self.instances)
            began = time.monotonic()
            self.ledger.requests += 1
            try:
                reply = await http.request(method, instance.url + path, json=body, headers=headers)
            except httpx2.TransportError as error:
                self._time(instance, began, f"{method} {path}: {type(error).__name__}")
                await asyncio.sleep(dice.uniform(0.05, 0.5))
                continue
            self._time(instance, began, f"{method} {path}: {reply.status_code}")
            if reply.status_code == 503:
                await asyncio.sleep(dice.uniform(0.1, 1.0))
                continue
            if reply.status_code >= 500:
                self.ledger.broken.append(f"{method} {path}: {reply.status_code} {reply.text[:200]}")
            self.ledger.acknowledged_at.append(time.monotonic())
            return reply.status_code, reply.json()
        raise GaveUp

    def _time(self, instance: Instance, began: float, what: str) -> None:
        """A request hung if it took too long although its instance was neither frozen nor dead meanwhile."""
        seconds = time.monotonic() - began
        if instance.disturbed_until >= began:
            return
        self.ledger.slowest_seconds = max(self.ledger.slowest_seconds, seconds)
        if seconds > LIMIT_SECONDS:
            age = time.monotonic() - instance.started_at
            self.ledger.hung.append(f"{what} after {seconds:.1f} s, instance {age:.0f} s old, at {began:.1f}")
