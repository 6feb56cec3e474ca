"""The state machine: whatever a shop, its buyers, its clock and its channel may do, in any order and at once.

Calls go to the model too (tests/properties/model.py), which says which answers the promises allow; what runs at once is
right if some order of it is. After each step the rows, the versions and the views of viewers are checked.
"""

import contextlib
import itertools
import random
from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lib import events
from tests.properties import checks
from tests.properties.calls import (
    AddUser,
    Answer,
    Call,
    Create,
    Restock,
    Sweep,
    directly,
    in_transaction,
)
from tests.properties.choices import PLANS, Choices, Plan, pick
from tests.properties.model import Model, Wrong, same
from tests.properties.wire import Killed
from tests.properties.world import START, World
from tests.support.buyers import all_at_once, in_background, sessions, wait_until

USERS = 5
MAX_DROPS = 3
SIZES = [(("", 1),), (("", 3),), (("", 9),), (("8", 1), ("9", 5)), (("S", 2), ("M", 1), ("L", 8))]
AUDIT_EVERY = 4
MICROSECOND = timedelta(microseconds=1)

SHIFTS = st.sampled_from([0.000001, 0.25, 1, 5, 30, 60, 86_400, "to a deadline", "to a deadline", "almost", "almost"])
CHANNEL = [
    *("up", "up", "up", "refused", "lost", "late", "deliver", "deliver", "deliver", "killed before", "killed after"),
    *("flaky viewer reads", "flaky viewer reads", "flaky viewer goes", "flaky viewer comes", "settle"),
]


class Machine(RuleBasedStateMachine):
    """`world` is set by who runs it: one database for all examples.

    No rule has a precondition, for the reason that choices.py gives.
    """

    world: World

    @initialize(sizes=st.sampled_from(SIZES), limit=st.sampled_from([None, 1, 2]))
    def open_shop(self, sizes: tuple[tuple[str, int], ...], limit: int | None) -> None:
        self.world.reset()
        self.model = Model(START, self.world.add_users(USERS))
        self.choices = Choices(self.model, self.world.numbers)
        self.history: list[str] = []
        self.versions = checks.Versions()
        self.sound = True
        self._call(Create(sizes, 60, limit, None, None, 10.0, self.choices.new_key()), over_http=True)

    # Calls, one at a time.

    @rule(
        sizes=st.sampled_from(SIZES),
        hold_seconds=st.sampled_from([60, 1, 86_400]),
        limit=st.sampled_from([None, 1, 3]),
        start=st.sampled_from([None, -60, 30]),
        end=st.sampled_from([None, None, 90, -1]),
        plan=PLANS,
    )
    def create(
        self,
        sizes: tuple[tuple[str, int], ...],
        hold_seconds: int,
        limit: int | None,
        start: int | None,
        end: int | None,
        plan: Plan,
    ) -> None:
        if len(self.model.drops) >= MAX_DROPS:
            self._call(self.choices.call(*plan), over_http=True)
            return
        start_at, end_at = self.choices.at(start), self.choices.at(end)
        # The API itself refuses an end that is not after a start that is given.
        if start_at is not None and end_at is not None and end_at <= start_at:
            end_at = None
        call = Create(sizes, hold_seconds, limit, start_at, end_at, 19.99, self.choices.new_key())
        self._call(call, over_http=True)

    @rule(plans=st.lists(PLANS, min_size=1, max_size=4), over_http=st.booleans())
    def call_one_after_the_other(self, plans: list[Plan], over_http: bool) -> None:
        for plan in plans:
            self._call(self.choices.call(*plan), over_http)
            self.promises_hold()

    @rule(numbers=st.lists(pick, min_size=1, max_size=3), over_http=st.booleans())
    def call_again(self, numbers: list[int], over_http: bool) -> None:
        """The same request once more: the first answer, not a second effect."""
        for number in numbers:
            self._call(self.choices.done[number % len(self.choices.done)], over_http)

    @rule(what=st.sampled_from(["new user", "taken name", "used key", "look", "look", "look"]), number=pick, user=pick)
    def call_something_else(self, what: str, number: int, user: int) -> None:
        keys = [key for kind, key in self.model.keys if kind is Restock]
        if what == "look":
            checks.reservation(self.model, self.choices.hold(number), self.choices.user(user))
        elif what == "used key" and keys:
            call = Restock(next(iter(self.model.drops)), 999, None, keys[number % len(keys)])
            self._call(call, over_http=True)
        else:
            names = list(self.model.users.values())
            new = f"later{next(self.world.numbers)}"
            name = names[number % len(names)] if what == "taken name" else new
            self._call(AddUser(name, self.choices.new_key()), over_http=True)

    # Calls at once, on several connections.

    @rule(plans=st.lists(PLANS, min_size=2, max_size=3), over_http=st.booleans())
    def call_at_once(self, plans: list[Plan], over_http: bool) -> None:
        calls = [self.choices.call(*plan) for plan in plans]
        answers = all_at_once([partial(self._ask, call, over_http) for call in calls])
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        self._take_in_some_order([(call, a) for call, a in zip(calls, answers, strict=True) if isinstance(a, Answer)])

    @rule(first=PLANS, second=PLANS, commits=st.booleans(), over_http=st.booleans())
    def call_while_another_is_not_committed(self, first: Plan, second: Plan, commits: bool, over_http: bool) -> None:
        """The second meets every lock of the first, which then commits, or dies."""
        opening, following = self.choices.call(*first), self.choices.call(*second)
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

    # Time and the channel.

    @rule(shift=SHIFTS)
    def let_time_pass(self, shift: float | Literal["to a deadline", "almost"]) -> None:
        """By seconds, or to the next deadline, when the hold is not good any more, or to a microsecond before."""
        if not isinstance(shift, str):
            self._move_clock(self.model.now + timedelta(seconds=shift))
            return
        deadlines = [hold.expires_at for hold in self.model.holds.values() if self.model.is_live(hold)]
        if deadlines:
            at = min(deadlines) - (MICROSECOND if shift == "almost" else timedelta())
            self._move_clock(max(self.model.now, at))

    @rule(what=st.sampled_from(CHANNEL), number=st.integers(0, 1000))
    def deliver(self, what: Any, number: int) -> None:
        wire = self.world.wire
        match what:
            case "deliver":
                events.deliver(0)
            case "killed before" | "killed after":
                before, wire.state = wire.state, what
                with contextlib.suppress(Killed):
                    events.deliver(0)
                    self.world.seen["nothing to deliver"] += 1
                wire.state = before
            case "flaky viewer reads":
                wire.flaky.read(random.Random(number))
            case "flaky viewer goes":
                wire.disconnect()
            case "flaky viewer comes":
                wire.reconnect(list(self.model.drops))
            case "settle":
                self._settle()
            case _:
                wire.state = what
        self.world.seen[f"channel {what}"] += 1

    def _settle(self) -> None:
        checks.settle(self.world, lambda seconds: self._move_clock(self.model.now + timedelta(seconds=seconds)))

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
        if self.world.seen["steps"] % AUDIT_EVERY == 0:
            checks.audit(rows)
        self.sound = True
        self.world.seen["steps"] += 1

    def teardown(self) -> None:
        if hasattr(self, "model") and not self.sound:
            # A race need not happen again when Hypothesis repeats the steps, so the first time is told.
            print("\n".join(["A history that the promises do not allow:", *self.history, repr(self.model)]))
        elif hasattr(self, "model"):
            self.world.wire.reconnect(list(self.model.drops))
            self._settle()
            self.world.wire.flaky.read(random.Random(0))
            self.promises_hold()

    # Help.

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
            same(answer.body["expired"], min(overdue, call.limit or overdue), "expired by a sweep")

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
            self.model = self.choices.model = model
            return
        raise Wrong(f"no order of {answers} is right: {why}")

    def _record(self, answers: Sequence[tuple[Call, Answer]]) -> None:
        self.sound = False
        self.history.append(" | ".join(f"{call} -> {answer}" for call, answer in answers))
        for call, answer in answers:
            at_once = " at once" if len(answers) > 1 else ""
            self.world.seen[f"{type(call).__name__.lower()} {answer.code}{at_once}"] += 1
            self.choices.done.append(call)

    def _move_clock(self, at: datetime) -> None:
        self.world.wire.arrive_late()
        self.model.now = at
        self.history.append(f"clock {at}")
        self.world.database.freeze_clock(at)
