"""Stock and holds: one typed function for each SQL function of sql/functions*.sql, which decide everything."""

import json
import math
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from lib import db, errors
from lib.records import Drop, Health, Hold, HoldLeft, Purchase, Swept, User, time_of
from lib.settings import settings
from lib.trace import count_retry

# A buyer who meets only locked stripes asks again this often, after a pause that doubles from 2 ms to 50 ms.
BUSY_ATTEMPTS = 12
BUSY_PAUSE_MS = 2.0
BUSY_PAUSE_MAX_MS = 50.0


class _HasOutcome(Protocol):
    @property
    def outcome(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class _Outcome:
    outcome: str


OutcomeT = TypeVar("OutcomeT", bound=_HasOutcome)

# Where reserve says when to come again.
_UNTIL = {errors.DropNotStarted.code: "starts_at", errors.RateLimited.code: "allowed_at"}
# What crowds call comes as one JSON object. `select (r.hold).* from reserve(...) r` would take the hold apart column by
# column: 118,000 of such a call's 675,000 instructions in Postgres, and a converter for each column here.


def reserve(drop_id: int, user_id: int, size: str | None = None) -> Hold:
    """Hold one unit of `size` for the drop's hold_seconds, by the database's clock; or return the caller's live hold.

    Raises DropNotFound, UserNotFound, DropNotStarted, DropEnded, DropPaused, DropCancelled, SizeRequired, UnknownSize,
    LimitReached, RateLimited, SoldOut, Busy; in each case the caller holds nothing more than before. UserNotFound is
    raised only where there is a unit to hold.
    """
    s = settings()
    params = (drop_id, user_id, size, s.reserve_rate_limit or None, s.reserve_rate_window_seconds)
    answer = _again_while_busy(lambda: _Answer(db.fetch_json("select to_json(reserve($1, $2, $3, $4, $5))", *params)))
    now = time_of(answer.told["server_time"])
    if answer.outcome in _UNTIL:
        seconds = (time_of(answer.told[_UNTIL[answer.outcome]]) - now).total_seconds()
        raise errors.BY_CODE[answer.outcome](retry_after_seconds=max(1, math.ceil(seconds)))
    hold = _expect(answer).told["hold"]
    dated = {"expires_at": time_of(hold["expires_at"]), "created_at": time_of(hold["created_at"])}
    return Hold(**{**hold, **dated}, outcome=answer.outcome, server_time=now)


class _Answer:
    """What a SQL function answers, by the names of its columns."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.outcome: str = told["outcome"]


def purchase(reservation_id: int, user_id: int) -> Purchase:
    """Turn the caller's hold into a purchase, once; a repeated call returns the first purchase.

    Raises ReservationNotFound, NotOwner, ReservationExpired, ReservationClosed, DropCancelled.
    """
    answer = _expect(_Answer(db.fetch_json("select to_json(purchase($1, $2))", reservation_id, user_id)))
    bought = answer.told["bought"]
    return Purchase(**{**bought, "created_at": time_of(bought["created_at"])}, outcome=answer.outcome)


def release(reservation_id: int, user_id: int) -> Hold:
    """Give the unit back before its deadline. A repeated call returns the released hold.

    Raises ReservationNotFound, NotOwner, ReservationExpired, ReservationClosed (it was purchased).
    """
    return _expect(
        db.fetch_one(
            Hold,
            "select r.outcome, clock() as server_time, (r.hold).* from release(%(reservation)s, %(user)s) r",
            {"reservation": reservation_id, "user": user_id},
        )
    )


def get_reservation(reservation_id: int, user_id: int) -> HoldLeft:
    """The caller's reservation. Raises ReservationNotFound, NotOwner."""
    return _expect(
        db.fetch_one(
            HoldLeft,
            """
            select r.outcome, r.seconds_left, clock() as server_time, (r.hold).*
            from get_reservation(%(reservation)s, %(user)s) r
            """,
            {"reservation": reservation_id, "user": user_id},
        )
    )


def live_holds(user_id: int, drop_ids: list[int]) -> list[Hold]:
    """The user's holds in these drops that are still good, oldest first."""
    return db.fetch_all(
        Hold,
        "select 'ok' as outcome, h.server_time, (h.hold).* from live_holds(%(user)s, %(drops)s) h",
        {"user": user_id, "drops": drop_ids},
    )


def expire_due(limit: int) -> Swept:
    """Expire up to `limit` due holds of any drop and return their units."""
    return db.fetch_one(Swept, "select * from expire_due(%(limit)s)", {"limit": limit})


def forget_keys() -> None:
    """Delete idempotency keys older than a day."""
    db.execute("select forget_keys()")


def forget_reservations(days: int, limit: int) -> int | None:
    """Delete some reservations that ended without a purchase that long ago; how many, None if there are no more now."""
    deleted: int | None = db.fetch_json("select to_json(forget_reservations($1, $2))", days, limit)
    return deleted


def create_drop(
    *,
    name: str,
    price: Decimal,
    sizes: list[tuple[str, int]],
    currency: str = "USD",
    image_url: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    hold_seconds: int = 60,
    max_per_user: int | None = None,
    idempotency_key: str | None = None,
    request_hash: str = "",
) -> tuple[int, bool]:
    """Make a drop of `sizes` [(label, units)] ('' labels a drop without sizes); its id, and whether it was there.

    Raises ValidationFailed if it ends before it starts, IdempotencyMismatch.
    """
    row = db.fetch_one(
        _Created,
        """
        select outcome, drop_id as id from create_drop(
          %(name)s, %(price)s, %(currency)s, %(image_url)s, %(start)s, %(end)s, %(hold_seconds)s, %(max_per_user)s,
          %(sizes)s, %(key)s, %(hash)s)
        """,
        {
            "name": name,
            "price": price,
            "currency": currency,
            "image_url": image_url,
            "start": start,
            "end": end,
            "hold_seconds": hold_seconds,
            "max_per_user": max_per_user,
            "sizes": json.dumps([{"size": label, "stock": stock} for label, stock in sizes]),
            "key": idempotency_key or _own_key(),
            "hash": request_hash,
        },
    )
    if row.outcome == errors.ValidationFailed.code:
        raise errors.ValidationFailed("dropEndTime must be after dropStartTime (which is now if not given).")
    _expect(row)
    return row.id, row.outcome == "replayed"


@dataclass(frozen=True, slots=True)
class _Created:
    outcome: str
    id: int


def update_drop(drop_id: int, changes: dict[str, Any]) -> Drop:
    """Set columns of a drop (names as in the table). Raises DropNotFound, DropCancelled, ValidationFailed."""
    row = db.fetch_one(
        _Outcome,
        "select update_drop(%(drop)s, %(changes)s) as outcome",
        {"drop": drop_id, "changes": json.dumps(changes)},
    )
    if row.outcome == errors.ValidationFailed.code:
        raise errors.ValidationFailed("dropEndTime must be after dropStartTime.")
    _expect(row)
    return get_drop(drop_id)


@dataclass(frozen=True, slots=True)
class _Restocked:
    outcome: str
    on_sale: int | None


def restock(
    drop_id: int, quantity: int, size: str | None = None, *, idempotency_key: str | None = None, request_hash: str = ""
) -> tuple[Drop, bool]:
    """Add units to a size, or take away units on sale; the drop, and whether an earlier call with the key did it.

    Raises DropNotFound, SizeRequired, UnknownSize, StockCommitted, ValidationFailed (over 1,000,000 units),
    IdempotencyMismatch.
    """
    row = db.fetch_one(
        _Restocked,
        "select outcome, on_sale from restock(%(drop)s, %(size)s, %(quantity)s, %(key)s, %(hash)s)",
        {
            "drop": drop_id,
            "size": size,
            "quantity": quantity,
            "key": idempotency_key or _own_key(),
            "hash": request_hash,
        },
    )
    if row.outcome == errors.StockCommitted.code:
        raise errors.StockCommitted(f"Only {row.on_sale} units are on sale; the others are held or sold.")
    if row.outcome == errors.ValidationFailed.code:
        raise errors.ValidationFailed("A drop can have 1,000,000 units at most.")
    _expect(row)
    return get_drop(drop_id), row.outcome == "replayed"


def get_drop(drop_id: int) -> Drop:
    """Raises DropNotFound."""
    told = db.fetch_json("select to_json(d) from get_drop($1) d", drop_id)
    if told is None:
        raise errors.DropNotFound
    return Drop.of_json(told)


def list_drops(phase: str, limit: int, before: int) -> list[Drop]:
    """Up to `limit` drops with ids below `before`, newest first; phase is live, upcoming, ended or all."""
    told = db.fetch_json("select json_agg(d) from list_drops($1, $2, $3) d", phase, limit, before)
    return [Drop.of_json(drop) for drop in told or []]


@dataclass(frozen=True, slots=True)
class _CreatedUser:
    outcome: str
    user_id: int
    username: str


def create_user(username: str, *, idempotency_key: str | None = None, request_hash: str = "") -> tuple[User, bool]:
    """The new user, and whether an earlier call with the key made it. Raises UsernameTaken, IdempotencyMismatch."""
    row = _expect(
        db.fetch_one(
            _CreatedUser,
            "select outcome, user_id, username from create_user(%(username)s, %(key)s, %(hash)s)",
            {"username": username, "key": idempotency_key or _own_key(), "hash": request_hash},
        )
    )
    return User(row.user_id, row.username), row.outcome == "replayed"


def list_users(limit: int, after: int = 0) -> list[User]:
    """Up to `limit` users with ids above `after`, oldest first."""
    return db.fetch_all(
        User, "select id, username from list_users(%(limit)s, %(after)s)", {"limit": limit, "after": after}
    )


def health() -> Health:
    return db.fetch_one(Health, "select * from health(), audit_standing()")


def _own_key() -> str:
    """A key nobody else has: makes a call that is not idempotent by nature safe to repeat on a fresh connection."""
    return f"call-{uuid.uuid4()}"


def _expect(row: OutcomeT) -> OutcomeT:
    """The row if something was done or had been done; else the error that its outcome names."""
    if row.outcome in ("ok", "replayed"):
        return row
    raise errors.BY_CODE[str(row.outcome)]


def _again_while_busy(call: Callable[[], OutcomeT]) -> OutcomeT:
    """Call until the outcome is not busy, a bounded number of times within the request's time. Raises Busy."""
    pause_ms = BUSY_PAUSE_MS
    for _ in range(BUSY_ATTEMPTS):
        row = call()
        if row.outcome != errors.Busy.code:
            return row
        pause_seconds = random.uniform(0.5, 1.0) * pause_ms / 1000  # noqa: S311 - jitter, not a secret
        if time.monotonic() + pause_seconds > db.deadline():
            break
        time.sleep(pause_seconds)
        pause_ms = min(pause_ms * 2, BUSY_PAUSE_MAX_MS)
        count_retry()
    raise errors.Busy
