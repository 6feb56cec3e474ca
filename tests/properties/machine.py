"""The state machine: whatever a shop, its buyers, its clock and its channel may do, in any order and at once.

Calls go to the model too (tests/properties/model.py), which says which answers the promises allow; what runs at once is
right if some order of it is. After each step the rows, the versions and the views of viewers are checked.
"""

import itertools
import random
from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lib import events
from tests.properties import checks
from tests.properties.calls import (
    AddUser,
    Answer,
    Call,
    Create,
    Purchase,
    Release,
    Reserve,
    Restock,
    Sweep,
    Update,
    directly,
    in_transaction,
)
from tests.properties.model import Model, Wrong
from tests.properties.wire import Killed
from tests.properties.world import START, World
from tests.support.buyers import all_at_once, in_background, sessions, wait_until

USERS = 5
MAX_DROPS = 3
SIZES = [(("", 1),), (("", 3),), (("", 9),), (("8", 1), ("9", 5)), (("S", 2), ("M", 1), ("L", 8))]
MICROSECOND = timedelta(microseconds=1)

# Numbers that a step takes modulo what there is; the last of each stands for one that does not exist.
pick = st.integers(0, 60)
SHIFTS = st.sampled_from([0.000001, 0.25, 1, 2, 5, 30, 60, 86_400])
KINDS = st.sampled_from(["reserve"] * 5 + ["purchase"] * 3 + ["release"] * 2 + ["restock", "update", "sweep", "again"])
PLANS = st.tuples(KINDS, pick, pick, pick)


class Machine(RuleBasedStateMachine):
    """`world` is set by who runs it: one database for all examples."""

    world: World

    @initialize(sizes=st.sampled_from(SIZES), limit=st.sampled_from([None, 1, 2]))
    def open_shop(self, sizes: tuple[tuple[str, int], ...], limit: int | None) -> None:
        self.world.reset()
        self.model = Model(START, self.world.add_users(USERS))
        self.done: list[Call] = []
        self.history: list[str] = []
        self.versions = checks.Versions()
        self.world.wire.now = lambda: self.model.now
        self.sound = True
        self._call(Create(sizes, 60, limit, None, None, 10.0, self._new_key()), over_http=True)

    # Calls, one at a time.

    @precondition(lambda self: len(self.model.drops) < MAX_DROPS)
    @rule(
        sizes=st.sampled_from(SIZES),
        hold_seconds=st.sampled_from([1, 60, 86_400]),
        limit=st.sampled_from([None, 1, 3]),
        start=st.sampled_from([None, -60, 30]),
        end=st.sampled_from([None, None, 90, -1]),
    )
    def create(
        self, sizes: tuple[tuple[str, int], ...], hold_seconds: int, limit: int | None, start: int | None, end: Any
    ) -> None:
        start_at, end_at = self._in(start), self._in(end)
        # The API itself refuses an end that is not after a start that is given.
        if start_at is not None and end_at is not None and end_at <= start_at:
            end_at = None
        call = Create(sizes, hold_seconds, limit, start_at, end_at, 19.99, self._new_key())
        self._call(call, over_http=True)

    @rule(plan=PLANS, over_http=st.booleans())
    def call_one(self, plan: tuple[str, int, int, int], over_http: bool) -> None:
        self._call(self._planned(*plan), over_http)

    @rule(number=pick, taken=st.booleans())
    def add_user(self, number: int, taken: bool) -> None:
        names = list(self.model.users.values())
        name = names[number % len(names)] if taken else f"later{next(self.world.numbers)}"
        self._call(AddUser(name, self._new_key()), over_http=True)

    @precondition(lambda self: self.done)
    @rule(number=pick, over_http=st.booleans())
    def call_again(self, number: int, over_http: bool) -> None:
        """The same request once more: the first answer, not a second effect."""
        self._call(self.done[number % len(self.done)], over_http)

    @precondition(lambda self: any(key.call for key in self.model.keys.values()))
    @rule(number=pick)
    def use_a_key_for_something_else(self, number: int) -> None:
        keys = [key for kind, key in self.model.keys if kind is Restock]
        if keys:
            drop = next(iter(self.model.drops))
            self._call(Restock(drop, 999, None, keys[number % len(keys)]), over_http=True)

    @rule(number=pick, user=pick)
    def look_at_a_hold(self, number: int, user: int) -> None:
        checks.reservation(self.model, self._hold(number), self._user(user))

    # Calls at once, on several connections.

    @rule(plans=st.lists(PLANS, min_size=2, max_size=3), over_http=st.booleans())
    def call_at_once(self, plans: list[tuple[str, int, int, int]], over_http: bool) -> None:
        calls = [self._planned(*plan) for plan in plans]
        answers = all_at_once([lambda call=call: self._ask(call, over_http) for call in calls])
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        self._take_in_some_order([(call, a) for call, a in zip(calls, answers, strict=True) if isinstance(a, Answer)])

    @rule(first=PLANS, second=PLANS, commits=st.booleans(), over_http=st.booleans())
    def call_while_another_is_not_committed(
        self, first: tuple[str, int, int, int], second: tuple[str, int, int, int], commits: bool, over_http: bool
    ) -> None:
        """The second meets every lock of the first, which then commits, or dies."""
        opening, following = self._planned(*first), self._planned(*second)
        if isinstance(opening, Sweep):
            opening = Sweep(limit=100)
        if isinstance(opening, Create | AddUser) or (isinstance(opening, Restock) and opening.key is not None):
            return
        with sessions(self.world.database, 1) as (session,):
            session.begin()
            tell = in_transaction(session, opening)
            asked = in_background(lambda: self._ask(following, over_http))
            wait_until(lambda: asked.done() or self.world.somebody_waits(), "it is done, or waits")
            session.commit() if commits else session.rollback()
            answers = [(following, asked.result(60))]
            if commits:
                answers.insert(0, (opening, tell()))
        self._take_in_some_order(answers)

    # Time.

    @rule(seconds=SHIFTS)
    def let_time_pass(self, seconds: float) -> None:
        self._move_clock(self.model.now + timedelta(seconds=seconds))

    @precondition(lambda self: any(self.model.is_live(hold) for hold in self.model.holds.values()))
    @rule(early=st.booleans())
    def let_time_pass_to_the_next_deadline(self, early: bool) -> None:
        """To a microsecond before it, when the hold is good, or to it, when it is not."""
        deadline = min(hold.expires_at for hold in self.model.holds.values() if self.model.is_live(hold))
        self._move_clock(max(self.model.now, deadline - MICROSECOND if early else deadline))

    # The channel.

    @rule(state=st.sampled_from(["up", "up", "refused", "lost", "late"]))
    def change_the_channel(self, state: Any) -> None:
        self.world.wire.state = state

    @rule()
    def deliver(self) -> None:
        events.deliver(0)

    @rule(when=st.sampled_from(["killed before", "killed after"]))
    def a_deliverer_dies(self, when: Any) -> None:
        before, self.world.wire.state = self.world.wire.state, when
        try:
            events.deliver(0)
        except Killed:
            self.world.seen[when] += 1
        self.world.wire.state = before

    @rule(seed=st.integers(0, 1000))
    def the_flaky_viewer_reads(self, seed: int) -> None:
        self.world.wire.flaky.read(random.Random(seed))

    @rule()
    def the_flaky_viewer_loses_its_connection_or_is_back(self) -> None:
        if self.world.wire.flaky.connected:
            self.world.wire.disconnect()
        else:
            self.world.wire.reconnect(list(self.model.drops))

    @rule()
    def everything_settles(self) -> None:
        checks.settle(self.world, lambda seconds: self._move_clock(self.model.now + timedelta(seconds=seconds)))
        self.world.settle_channel()

    # What holds after each step.

    @invariant()
    def promises_hold(self) -> None:
        if not hasattr(self, "model"):
            return
        self.sound = False
        rows = checks.Rows(self.world)
        checks.promises(self.world, self.model, rows)
        self.versions.rise(rows)
        checks.views(self.world, rows)
        self.sound = True
        self.world.seen["steps"] += 1

    def teardown(self) -> None:
        if hasattr(self, "model") and not self.sound:
            # A race need not happen again when Hypothesis repeats the steps, so the first time is told.
            print("\n".join(["A history that the promises do not allow:", *self.history, repr(self.model)]))
        elif hasattr(self, "model"):
            self.world.wire.reconnect(list(self.model.drops))
            self.everything_settles()
            self.world.wire.flaky.read(random.Random(0))
            self.promises_hold()

    # Help.

    def _planned(self, kind: str, a: int, b: int, c: int) -> Call:
        """A call from three numbers: mostly a sensible one, now and then one for what does not exist."""
        if kind == "again" and self.done:
            return self.done[a % len(self.done)]
        if kind in ("purchase", "release"):
            hold = self._hold(a)
            known = self.model.holds.get(hold)
            user = self._user(b) if known is None or c % 8 == 0 else known.user
            return Purchase(hold, user) if kind == "purchase" else Release(hold, user)
        if kind == "sweep":
            return Sweep(None if a % 2 else 1 + b)
        drop = self._drop(a)
        if kind == "restock":
            key = self._new_key() if c % 2 else None
            return Restock(drop, [-9, -1, 1, 4, 40][c % 5], self._size(drop, b), key)
        if kind == "update":
            return Update(drop, self._change(b, c))
        return Reserve(drop, self._user(b), self._size(drop, c))

    def _change(self, what: int, number: int) -> dict[str, Any]:
        # Cancelling is for good, so it is rare.
        states = ["PAUSED", "OPEN", "OPEN", "PAUSED", "OPEN", "OPEN", "OPEN", "CANCELLED"]
        changes: list[dict[str, Any]] = [
            {"state": states[number % len(states)]},
            {"limit": [None, 1, 2][number % 3]},
            {"price": [10.0, 25.5][number % 2]},
            {"end": self._in([None, 30, 3600][number % 3])},
            {"start": self._in([-60, 5][number % 2])},
        ]
        return changes[what % len(changes)]

    def _hold(self, number: int) -> int:
        ids = [*self.model.holds, 2**62]
        # From the newest on, which are the ones most alive.
        return sorted(ids)[-1 - (number % len(ids) + 1) % len(ids)]

    def _drop(self, number: int) -> int:
        ids = sorted(self.model.drops)
        return ids[number % len(ids)] if number < 58 else 2**62

    def _user(self, number: int) -> int:
        ids = sorted(self.model.users)
        return ids[number % len(ids)] if number < 58 else 2**62

    def _size(self, drop: int, number: int) -> str | None:
        known = self.model.drops.get(drop)
        labels = list(known.sizes) if known else [""]
        if number >= 57:
            return [None, "nobody wears this", ""][number % 3]
        label = labels[number % len(labels)]
        return None if label == "" else label

    def _in(self, seconds: int | None) -> datetime | None:
        return None if seconds is None else self.model.now + timedelta(seconds=seconds)

    def _new_key(self) -> str:
        return f"key-{next(self.world.numbers)}"

    def _ask(self, call: Call, over_http: bool) -> Answer:
        keyed = isinstance(call, Create | AddUser) or (isinstance(call, Restock) and call.key is not None)
        partly = isinstance(call, Sweep) and call.limit is not None
        return self.world.over_http(call) if keyed or (over_http and not partly) else directly(call)

    def _call(self, call: Call, over_http: bool) -> None:
        overdue = checks.Rows(self.world).overdue(self.model) if isinstance(call, Sweep) else 0
        answer = self._ask(call, over_http)
        self._record([(call, answer)])
        self.model.take(call, answer)
        if isinstance(call, Sweep):
            # Alone, it leaves nothing that is due, as far as its limit goes.
            checks.same(answer.body["expired"], min(overdue, call.limit or overdue), "expired by a sweep")

    def _take_in_some_order(self, answers: Sequence[tuple[Call, Answer]]) -> None:
        """Right if there is an order in which the calls, one after the other, would be answered like this.

        `busy` promises only that nothing was done.
        """
        self._record(answers)
        told = [(call, answer) for call, answer in answers if answer.code != "busy"]
        why = []
        for order in itertools.permutations(told):
            model = deepcopy(self.model)
            try:
                for call, answer in order:
                    model.take(call, answer)
            except Wrong as wrong:
                why.append(str(wrong))
                continue
            self.model = model
            return
        raise Wrong(f"no order of {answers} is right: {why}")

    def _record(self, answers: Sequence[tuple[Call, Answer]]) -> None:
        self.sound = False
        self.history.append(" | ".join(f"{call} -> {answer}" for call, answer in answers))
        for call, answer in answers:
            at_once = " at once" if len(answers) > 1 else ""
            self.world.seen[f"{type(call).__name__.lower()} {answer.code}{at_once}"] += 1
            self.done.append(call)

    def _move_clock(self, at: datetime) -> None:
        self.world.wire.arrive_late()
        self.model.now = at
        self.history.append(f"clock {at}")
        self.world.set_clock(at)
