"""Which call a step makes: from numbers that Hypothesis draws, taken modulo what there is at that moment.

What is drawn never depends on what there is: a race may have decided that, and Hypothesis could not repeat a history.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.properties.calls import Call, Purchase, Release, Reserve, Restock, Sweep, Update
from tests.properties.model import Model

UNKNOWN = 2**62
# From 58 on a number stands for a drop, a user or a hold that does not exist.
pick = st.integers(0, 60)
KINDS = st.sampled_from(["reserve"] * 5 + ["purchase"] * 3 + ["release"] * 2 + ["restock", "update", "sweep", "again"])
PLANS = st.tuples(KINDS, pick, pick, pick)
Plan = tuple[str, int, int, int]


class Choices:
    """`done`: every call made so far, for those who make one again."""

    def __init__(self, model: Model, numbers: Iterator[int]) -> None:
        self.model = model
        self.done: list[Call] = []
        self._numbers = numbers

    def call(self, kind: str, a: int, b: int, c: int) -> Call:
        """A call from three numbers: mostly a sensible one, now and then one for what does not exist."""
        if kind == "again" and self.done:
            return self.done[a % len(self.done)]
        if kind in ("purchase", "release") and self.model.holds:
            hold = self.hold(a)
            known = self.model.holds.get(hold)
            user = self.user(b) if known is None or c % 8 == 7 else known.user
            return Purchase(hold, user) if kind == "purchase" else Release(hold, user)
        if kind == "sweep":
            return Sweep(None if a % 2 else 1 + b)
        drop = self.drop(a)
        if kind == "restock":
            key = self.new_key() if c % 2 else None
            return Restock(drop, [-9, -1, 1, 4, 40][c % 5], self.size(drop, b), key)
        if kind == "update":
            return Update(drop, self._change(b, c))
        return Reserve(drop, self.user(b), self.size(drop, c))

    def _change(self, what: int, number: int) -> dict[str, Any]:
        # Cancelling is for good, so it is rare.
        states = ["PAUSED", "OPEN", "OPEN", "PAUSED", "OPEN", "OPEN", "OPEN", "CANCELLED"]
        changes: list[dict[str, Any]] = [
            *[{"state": states[number % len(states)]}] * 3,
            {"limit": [None, 1, 2][number % 3]},
            {"price": [10.0, 25.5][number % 2]},
            {"hold_seconds": [60, 1, 120][number % 3]},
            {"end": self.at([None, 30, 3600][number % 3])},
            {"start": self.at([-60, 5][number % 2])},
        ]
        return changes[what % len(changes)]

    def hold(self, number: int) -> int:
        """The newest first: they are the ones most alive."""
        ids = sorted(self.model.holds, reverse=True)
        return ids[number % len(ids)] if ids and number < 58 else UNKNOWN

    def drop(self, number: int) -> int:
        ids = sorted(self.model.drops)
        return ids[number % len(ids)] if number < 58 else UNKNOWN

    def user(self, number: int) -> int:
        ids = sorted(self.model.users)
        return ids[number % len(ids)] if number < 58 else UNKNOWN

    def size(self, drop: int, number: int) -> str | None:
        known = self.model.drops.get(drop)
        labels = list(known.sizes) if known else [""]
        if number % 8 == 7:
            return [None, "nobody wears this", ""][number % 3]
        label = labels[number % len(labels)]
        return None if label == "" else label

    def at(self, seconds: int | None) -> datetime | None:
        return None if seconds is None else self.model.now + timedelta(seconds=seconds)

    def new_key(self) -> str:
        return f"key-{next(self._numbers)}"
