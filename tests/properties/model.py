"""What the shop promises, in Python: every answer of the real one must be one that this gives too.

Time is `now`, which only the machine moves. A hold past its deadline holds nothing here, swept or not: sweeping is
garbage collection, and no answer may depend on it.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.properties.calls import AddUser, Answer, Call, Create, Purchase, Release, Reserve, Restock, Sweep, Update

KEYS_KEPT = timedelta(days=1)
RATE_LIMIT = 1
RATE_WINDOW = timedelta(seconds=10)
MAX_UNITS = 1_000_000


class Wrong(AssertionError):
    """An answer that the promises do not allow here."""


@dataclass
class Hold:
    id: int
    drop: int
    user: int
    size: str
    began_at: datetime
    expires_at: datetime
    status: str = "ACTIVE"
    # The first answer of its purchase.
    bought: dict[str, Any] | None = None


@dataclass
class Drop:
    id: int
    sizes: dict[str, int]
    hold_seconds: int
    limit: int | None
    start: datetime
    end: datetime | None
    price: float
    state: str = "OPEN"
    # The highest limit that was ever in force: what was bought under it remains.
    highest_limit: int | None = None


@dataclass
class Key:
    call: Call
    id: int
    since: datetime


def same(found: Any, expected: Any, what: str) -> None:
    if found != expected:
        raise Wrong(f"{what}: {found!r}, not {expected!r}")


@dataclass
class Model:
    now: datetime
    users: dict[int, str] = field(default_factory=dict)
    drops: dict[int, Drop] = field(default_factory=dict)
    holds: dict[int, Hold] = field(default_factory=dict)
    keys: dict[tuple[type[Call], str], Key] = field(default_factory=dict)

    # What the state says.

    def is_live(self, hold: Hold) -> bool:
        return hold.status == "ACTIVE" and hold.expires_at > self.now

    def held(self, drop: int, size: str) -> int:
        return sum(h.drop == drop and h.size == size and self.is_live(h) for h in self.holds.values())

    def bought(self, drop: int, size: str) -> int:
        return sum(h.drop == drop and h.size == size and h.status == "PURCHASED" for h in self.holds.values())

    def free(self, drop: Drop, size: str) -> int:
        return drop.sizes[size] - self.held(drop.id, size) - self.bought(drop.id, size)

    def units_of(self, drop: int, user: int) -> int:
        """Live holds and purchases of one buyer in one drop."""
        mine = [h for h in self.holds.values() if h.drop == drop and h.user == user]
        return sum(h.status == "PURCHASED" or self.is_live(h) for h in mine)

    # What calls do. Each takes the real answer, raises Wrong if it is not right, and moves the state on.

    def take(self, call: Call, answer: Answer) -> None:
        handlers: dict[type[Call], Callable[[Any, Answer], None]] = {
            Create: self._create,
            AddUser: self._add_user,
            Reserve: self._reserve,
            Purchase: self._purchase,
            Release: self._release,
            Restock: self._restock,
            Update: self._update,
            Sweep: self._sweep,
        }
        handlers[type(call)](call, answer)

    def _keyed(self, call: Create | AddUser | Restock, answer: Answer) -> bool:
        """Whether an earlier call with the same key settles this one."""
        if call.key is None:
            return False
        first = self.keys.get((type(call), call.key))
        if first is None:
            return False
        if first.call != call:
            same(answer.code, "idempotency_mismatch", "a key that came with another request")
            return True
        same(answer.code, "replayed", "a key that came before")
        same(answer.body["id"], first.id, "the first answer's id")
        return True

    def _remember(self, call: Create | AddUser | Restock, result: int) -> None:
        if call.key is not None:
            self.keys[type(call), call.key] = Key(call, result, self.now)

    def _create(self, call: Create, answer: Answer) -> None:
        if self._keyed(call, answer):
            return
        start = call.start or self.now
        if call.end is not None and call.end <= start:
            same(answer.code, "validation_failed", "a drop that ends before it starts")
            return
        same(answer.code, "ok", "create")
        sizes = dict(call.sizes)
        made = answer.body["id"]
        same(made in self.drops, False, "a new drop's id is there already")
        self.drops[made] = Drop(
            made, sizes, call.hold_seconds, call.limit, start, call.end, call.price, highest_limit=call.limit
        )
        self._remember(call, made)

    def _add_user(self, call: AddUser, answer: Answer) -> None:
        if self._keyed(call, answer):
            return
        if call.username in self.users.values():
            same(answer.code, "username_taken", "a name that somebody has")
            return
        same(answer.code, "ok", "add user")
        self.users[answer.body["id"]] = call.username
        self._remember(call, answer.body["id"])

    def _refusal(self, drop: Drop) -> str | None:
        if drop.state == "CANCELLED":
            return "drop_cancelled"
        if drop.end is not None and drop.end <= self.now:
            return "drop_ended"
        if drop.state == "PAUSED":
            return "drop_paused"
        return "drop_not_started" if drop.start > self.now else None

    def _reserve_code(self, drop: Drop, call: Reserve) -> str:
        """The code for a buyer without a live hold in a drop that exists."""
        refusal = self._refusal(drop)
        if refusal is not None:
            return refusal
        size = call.size or ""
        if size not in drop.sizes:
            return "size_required" if call.size is None else "unknown_size"
        if drop.limit is not None and self.units_of(drop.id, call.user) >= drop.limit:
            return "limit_reached"
        if self.free(drop, size) <= 0:
            return "sold_out"
        since = self.now - RATE_WINDOW
        began = sum(h.drop == drop.id and h.user == call.user and h.began_at > since for h in self.holds.values())
        if began >= RATE_LIMIT:
            return "rate_limited"
        # Looked at last: most who come, come to a sold-out drop.
        return "ok" if call.user in self.users else "user_not_found"

    def _reserve(self, call: Reserve, answer: Answer) -> None:
        drop = self.drops.get(call.drop)
        if drop is None:
            same(answer.code, "drop_not_found", "reserve")
            return
        for mine in self.holds.values():
            if mine.drop == drop.id and mine.user == call.user and self.is_live(mine):
                if drop.state == "CANCELLED":
                    same(answer.code, "drop_cancelled", "reserve with a live hold")
                    return
                same(answer.code, "replayed", "reserve with a live hold")
                self._same_hold(answer, mine)
                return
        same(answer.code, self._reserve_code(drop, call), f"reserve of {call}")
        if answer.code == "ok":
            made = answer.body["id"]
            same(made in self.holds, False, "a new hold's id is there already")
            expires_at = self.now + timedelta(seconds=drop.hold_seconds)
            self.holds[made] = Hold(made, drop.id, call.user, call.size or "", self.now, expires_at)
            self._same_hold(answer, self.holds[made])

    def _same_hold(self, answer: Answer, hold: Hold) -> None:
        found = answer.body
        expected = (hold.id, hold.drop, hold.user, hold.size, hold.expires_at)
        seen = (found["id"], found["dropId"], found["userId"], found["size"], found["expires_at"])
        same(seen, (*expected[:4], expected[4].isoformat(timespec="microseconds").replace("+00:00", "Z")), "hold")

    def _own(self, call: Purchase | Release, answer: Answer) -> Hold | None:
        hold = self.holds.get(call.hold)
        if hold is None:
            same(answer.code, "reservation_not_found", f"{call}")
        elif hold.user != call.user:
            same(answer.code, "not_owner", f"{call}")
            return None
        return hold

    def _purchase(self, call: Purchase, answer: Answer) -> None:
        hold = self._own(call, answer)
        if hold is None:
            return
        if hold.status == "PURCHASED":
            same(answer.code, "replayed", "a repeated purchase")
            same(answer.body, hold.bought, "the first answer of the purchase")
        elif hold.status == "RELEASED":
            same(answer.code, "reservation_closed", "purchase of a released hold")
        elif not self.is_live(hold):
            same(answer.code, "reservation_expired", "purchase past the deadline")
        elif self.drops[hold.drop].state == "CANCELLED":
            same(answer.code, "drop_cancelled", "purchase in a cancelled drop")
        else:
            same(answer.code, "ok", "purchase")
            bought = answer.body["purchase"]
            same(bought["price"], self.drops[hold.drop].price, "the price at the purchase")
            expected = (hold.id, hold.user, hold.drop, hold.size)
            names = ("reservationId", "userId", "dropId", "size")
            same(tuple(bought[name] for name in names), expected, "what was bought")
            hold.status, hold.bought = "PURCHASED", answer.body

    def _release(self, call: Release, answer: Answer) -> None:
        hold = self._own(call, answer)
        if hold is None:
            return
        if hold.status == "RELEASED":
            same(answer.code, "replayed", "a repeated release")
        elif hold.status == "PURCHASED":
            same(answer.code, "reservation_closed", "release of what was bought")
        elif not self.is_live(hold):
            same(answer.code, "reservation_expired", "release past the deadline")
            return
        else:
            same(answer.code, "ok", "release")
            hold.status = "RELEASED"
        if hold.status == "RELEASED":
            self._same_hold(answer, hold)
            same(answer.body["status"], "RELEASED", "status")

    def _restock(self, call: Restock, answer: Answer) -> None:
        if self._keyed(call, answer):
            return
        drop = self.drops.get(call.drop)
        size = call.size or ""
        if drop is None:
            code = "drop_not_found"
        elif size not in drop.sizes:
            code = "size_required" if call.size is None else "unknown_size"
        elif self.free(drop, size) + call.quantity < 0:
            code = "stock_committed"
        elif sum(drop.sizes.values()) + call.quantity > MAX_UNITS:
            code = "validation_failed"
        else:
            code = "ok"
        same(answer.code, code, f"{call}")
        if drop is not None and code == "ok":
            drop.sizes[size] += call.quantity
            self._remember(call, drop.id)

    def _update(self, call: Update, answer: Answer) -> None:
        drop = self.drops.get(call.drop)
        if drop is None:
            same(answer.code, "drop_not_found", "update")
            return
        if drop.state == "CANCELLED" and call.changes.get("state", "CANCELLED") != "CANCELLED":
            same(answer.code, "drop_cancelled", "a cancelled drop stays so")
            return
        changed = deepcopy(drop)
        for name, value in call.changes.items():
            setattr(changed, name, value)
        if changed.end is not None and changed.end <= changed.start:
            same(answer.code, "validation_failed", "a drop that ends before it starts")
            return
        same(answer.code, "ok", f"{call}")
        limits = (drop.highest_limit, changed.limit)
        changed.highest_limit = None if None in limits else max(limit for limit in limits if limit is not None)
        self.drops[drop.id] = changed

    def _sweep(self, call: Sweep, answer: Answer) -> None:
        same(answer.code, "ok", "sweep")
        if call.forgets_keys:
            self.keys = {key: kept for key, kept in self.keys.items() if kept.since >= self.now - KEYS_KEPT}
