"""The channel's wire, recorded, and viewers who do with what arrives what README asks of a client.

This is the one part of the machine that is not real: a round trip through soketi after each of thousands of steps would
take minutes. Everything up to the bytes of a batch is the real code; only `realtime.publish` is replaced. The soak has
rounds with the real soketi and a real pusher-js client in its place (soak.py).
"""

import json
import random
from dataclasses import dataclass, field
from typing import Any, Literal

from lib import inventory, realtime
from lib.realtime import Message, PublishFailed

State = Literal["up", "refused", "lost", "late"]
Outside = Literal["killed before", "killed after"]


class Killed(BaseException):
    """The function's process ends here. Not an Exception: nothing in it may go on."""


@dataclass
class Viewer:
    """Keeps the newest stock it was told, by one of the counters that say so; on dropChanged it fetches the drop."""

    counter: Literal["version", "stockVersion"] = "version"
    stock: dict[int, tuple[int, int, list[dict[str, Any]] | None]] = field(default_factory=dict)
    states: dict[int, tuple[str, float]] = field(default_factory=dict)
    purchases: set[int] = field(default_factory=set)
    to_fetch: set[int] = field(default_factory=set)

    def receive(self, name: str, data: dict[str, Any]) -> None:
        drop = data["dropId"]
        if name == "newPurchase":
            self.purchases.add(data["purchaseId"])
        elif name == "dropChanged":
            self.to_fetch.add(drop)
        elif data[self.counter] > self.stock.get(drop, (-1,))[0]:
            self.stock[drop] = (data[self.counter], data["availableStock"], data.get("sizes"))

    def fetch(self, drop: int) -> None:
        """What GET /api/drops/{id} answers, taken if it is not older than what is shown."""
        found = inventory.get_drop(drop)
        self.states[drop] = (found.state, float(found.price))
        counted = found.version if self.counter == "version" else found.stock_version
        if counted >= self.stock.get(drop, (-1,))[0]:
            named = [
                {"size": size["size"], "availableStock": size["availableStock"]} for size in found.sizes if size["size"]
            ]
            self.stock[drop] = (counted, found.available_stock, named or None)

    def catch_up(self) -> None:
        while self.to_fetch:
            self.fetch(self.to_fetch.pop())


@dataclass
class FlakyViewer(Viewer):
    """Loses its connection, and gets what arrives late, twice and in any order. Counts as drop-client.js does."""

    connected: bool = True
    unread: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def read(self, chance: random.Random) -> None:
        several = self.unread + chance.sample(self.unread, len(self.unread) // 2)
        chance.shuffle(several)
        self.unread = []
        for name, data in several:
            self.receive(name, data)
        self.catch_up()


class Wire:
    """Stands for `realtime.publish`. A cache channel remembers its last event, as Pusher's do."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.state: State | Outside = "up"
        self.steady = Viewer()
        self.flaky = FlakyViewer(counter="stockVersion")
        self.cached: dict[str, dict[str, Any]] = {}
        self.late: list[Message] = []
        self.published = 0

    def publish(self, messages: list[Message], seconds: float) -> None:
        # As bytes, so that what is published is what a client could read.
        messages = [Message(m.channel, m.name, json.loads(realtime._encode(m.data))) for m in messages]
        match self.state:
            case "killed before":
                raise Killed
            case "refused":
                raise PublishFailed("refused", on_its_way=False)
            case "lost":
                raise PublishFailed("no answer", on_its_way=True)
            case "late":
                self.late += messages
                raise PublishFailed("no answer", on_its_way=True)
        self._arrive(messages)
        if self.state == "killed after":
            raise Killed

    def arrive_late(self) -> None:
        """What was on its way when a publish ran out of time. It never arrives after its lease."""
        late, self.late = self.late, []
        self._arrive(late)

    def _arrive(self, messages: list[Message]) -> None:
        self.published += len(messages)
        self._show(messages)

    def _show(self, messages: list[Message]) -> None:
        """What subscribers have got."""
        for message in messages:
            if message.channel.startswith("cache-"):
                self._keep(message)
            self.steady.receive(message.name, message.data)
            if self.flaky.connected:
                self.flaky.unread.append((message.name, message.data))

    def _keep(self, message: Message) -> None:
        """A cache channel takes only stockUpdate, and never an older one after a newer: it is replayed to who comes."""
        assert message.name == "stockUpdate", message
        before = self.cached.get(message.channel)
        assert before is None or before["version"] < message.data["version"], (before, message.data)
        self.cached[message.channel] = message.data

    def disconnect(self) -> None:
        self.flaky.connected = False
        self.flaky.unread = []

    def reconnect(self, drops: list[int]) -> None:
        """Subscribe again: the cache channels replay what they have, then the drops are fetched."""
        self.flaky.connected = True
        self.flaky.unread = [("stockUpdate", data) for data in self.cached.values()]
        self.flaky.to_fetch |= set(drops)
