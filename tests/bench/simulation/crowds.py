"""Who asks: the closed circle of a load generator, and a million people at an opening door."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tests.bench.simulation.inputs import Crowd
from tests.bench.simulation.model import Model, Request


class Circle:
    """`connections` clients, each of which asks again when it has its answer, until `requests` were sent."""

    def __init__(self, model: Model, requests: int, connections: int) -> None:
        self._model, self._left = model, requests
        for _ in range(min(connections, requests)):
            self._next(None)

    def _next(self, _: Request | None) -> None:
        if self._left > 0:
            self._left -= 1
            self._model.submit(Request("reserve", self._next, self._model.now))


@dataclass(slots=True)
class Buyer:
    is_bot: bool
    tries_left: int
    busy_left: int


class Opening:
    """A drop opens: a spike that waited for it, a long tail that heard of it, and bots that ask again and again."""

    def __init__(self, model: Model, crowd: Crowd) -> None:
        self._model, self._crowd = model, crowd
        self.arrivals: list[float] = []
        self.humans = self.bots = 0
        self._schedule()

    def _schedule(self) -> None:
        """All arrivals, drawn now and put on the calendar one after the other, to keep it short."""
        crowd, chance = self._crowd, self._model.random
        times = []
        for _ in range(crowd.buyers):
            if chance.random() < crowd.spike_share:
                at = chance.expovariate(1 / crowd.spike_seconds)
            else:
                at = chance.lognormvariate(math.log(crowd.tail_seconds), crowd.tail_sigma)
            times.append(at)
        self.arrivals = sorted(at for at in times if at < crowd.horizon_seconds)
        self._upcoming = iter(self.arrivals)
        self._arrive_next()

    def _arrive_next(self) -> None:
        at = next(self._upcoming, None)
        if at is not None:
            self._model.after(at - self._model.now, self._arrive)

    def _arrive(self, _: None) -> None:
        crowd = self._crowd
        is_bot = self._model.random.random() < crowd.bot_share
        self.bots += is_bot
        self.humans += not is_bot
        self._ask(Buyer(is_bot, crowd.bot_tries if is_bot else 2, crowd.busy_tries))
        self._arrive_next()

    def _ask(self, buyer: Buyer) -> None:
        self._model.submit(Request("reserve", self._told, self._model.now, buyer))

    def _told(self, request: Request) -> None:
        """What a buyer does with the answer."""
        model, crowd, buyer = self._model, self._crowd, request.buyer
        if request.outcome == "ok":
            self._hold(request)
            return
        if request.outcome in ("busy", "throttled"):
            # Retry-After: 1, and clients spread a little.
            buyer.busy_left -= 1
            pause, goes_on = model.random.uniform(1.0, 1.5), buyer.busy_left >= 0
        elif buyer.is_bot:
            pause, goes_on = crowd.bot_pause_seconds * model.random.uniform(0.5, 1.5), True
        else:
            pause = crowd.again_seconds * model.random.uniform(0.5, 1.5)
            goes_on = model.random.random() < crowd.again_share
        buyer.tries_left -= 1
        if goes_on and buyer.tries_left > 0 and model.now + pause < crowd.horizon_seconds:
            model.after(pause, self._ask, buyer)

    def _hold(self, request: Request) -> None:
        model, crowd = self._model, self._crowd
        thinks = model.random.lognormvariate(math.log(crowd.decides_seconds), crowd.decides_sigma)
        if model.random.random() < crowd.buys_share and thinks < crowd.hold_seconds:
            model.after(thinks, self._buy)
        else:
            model.after(crowd.hold_seconds, self._expire, request.stripe)

    def _buy(self, _: None) -> None:
        self._model.submit(Request("purchase", self._bought, self._model.now))

    def _bought(self, request: Request) -> None:
        if request.outcome == "ok":
            self._model.tally.purchases.append(self._model.now)
        else:
            self._model.after(1.0, self._buy)

    def _expire(self, stripe: int) -> None:
        self._model.stock.give_back(stripe)
        self._model.tally.stock_changes.append(self._model.now)
