"""What can be asked of the shop: each call as a value, the ways to make it, and its answer as a client sees it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import httpx2

from lib import inventory, models
from lib.errors import HoldfastError
from scheduled.reap import sweep
from tests.support.buyers import Session

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """Equal calls are the same request made again."""


@dataclass(frozen=True)
class Create(Call):
    sizes: tuple[tuple[str, int], ...]
    hold_seconds: int
    limit: int | None
    start: datetime | None
    end: datetime | None
    price: float
    key: str


@dataclass(frozen=True)
class AddUser(Call):
    username: str
    key: str


@dataclass(frozen=True)
class Reserve(Call):
    drop: int
    user: int
    size: str | None


@dataclass(frozen=True)
class Purchase(Call):
    hold: int
    user: int


@dataclass(frozen=True)
class Release(Call):
    hold: int
    user: int


@dataclass(frozen=True)
class Restock(Call):
    drop: int
    quantity: int
    size: str | None
    key: str | None


@dataclass(frozen=True, eq=False)
class Update(Call):
    """`changes` by the names of the model: state, price, limit, hold_seconds, start, end."""

    drop: int
    changes: dict[str, Any]


@dataclass(frozen=True)
class Sweep(Call):
    """The clock's sweep; with `limit`, only its query that expires."""

    limit: int | None = None

    @property
    def forgets_keys(self) -> bool:
        return self.limit is None


@dataclass(frozen=True)
class Answer:
    """'ok', 'replayed' or an error's code, and the part of the answer's JSON that tells what was done."""

    code: str
    body: dict[str, Any] = field(default_factory=dict)


WIRE_NAMES = {"limit": "maxPerUser", "hold_seconds": "holdSeconds", "start": "dropStartTime", "end": "dropEndTime"}
COLUMNS = {"limit": "max_per_user", "start": "drop_start_time", "end": "drop_end_time"}
CRON_SECRET = "the machine's clock"


class OverHttp:
    """Every call as a request to the functions, behind the rewrites of vercel.json."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def __call__(self, call: Call) -> Answer:
        method, path, body, key = self._request(call)
        headers = {"Authorization": f"Bearer {CRON_SECRET}"} if isinstance(call, Sweep) else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        response = self._client.request(method, path, json=body, headers=headers)
        found = response.json()
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json", response.text
            return Answer(found["code"])
        replayed = response.headers.get("Idempotency-Replayed") == "true"
        return Answer("replayed" if replayed else "ok", _told(call, found))

    def _request(self, call: Call) -> tuple[str, str, dict[str, Any] | None, str | None]:
        match call:
            case Reserve(drop, user, size):
                body = {"userId": user} | ({} if size is None else {"size": size})
                return "POST", f"/api/reserve/{drop}", body, None
            case Purchase(hold, user):
                return "POST", f"/api/purchase/{hold}", {"userId": user}, None
            case Release(hold, user):
                return "DELETE", f"/api/reservations/{hold}", {"userId": user}, None
            case Restock(drop, quantity, size, key):
                body = {"quantity": quantity} | ({} if size is None else {"size": size})
                return "POST", f"/api/drops/{drop}/restock", body, key
            case Update(drop, changes):
                return "PATCH", f"/api/drops/{drop}", _renamed(changes, WIRE_NAMES), None
            case AddUser(username, key):
                return "POST", "/api/users", {"username": username}, key
            case Create():
                return "POST", "/api/drops", _drop_body(call), call.key
            case Sweep():
                return "GET", "/api/cron/reap", None, None
        raise TypeError(call)


def _drop_body(call: Create) -> dict[str, Any]:
    body: dict[str, Any] = {"name": "Machine made", "price": call.price, "holdSeconds": call.hold_seconds}
    if [label for label, _ in call.sizes] == [""]:
        body["totalStock"] = call.sizes[0][1]
    else:
        body["sizes"] = [{"size": label, "stock": stock} for label, stock in call.sizes]
    body |= {"maxPerUser": call.limit, "dropEndTime": call.end and call.end.isoformat()}
    return body if call.start is None else body | {"dropStartTime": call.start.isoformat()}


def _renamed(changes: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {
        names.get(name, name): value.isoformat() if isinstance(value, datetime) else value
        for name, value in changes.items()
    }


def _told(call: Call, found: dict[str, Any]) -> dict[str, Any]:
    """The part of an answer that the first and each repeated one must have in common."""
    match call:
        case Reserve() | Release():
            return dict(found["reservation"])
        case Create() | Restock() | Update():
            return {"id": found["drop"]["id"]}
        case AddUser():
            return {"id": found["user"]["id"]}
    return found


def directly(call: Call) -> Answer:
    """The same through lib.inventory, for calls without a key, in the words of the API."""
    try:
        match call:
            case Reserve(drop, user, size):
                hold = inventory.reserve(drop, user, size)
                return Answer(hold.outcome, _json(models.Reservation.of(hold)))
            case Purchase(reservation, user):
                bought = inventory.purchase(reservation, user)
                return Answer(bought.outcome, _json(models.PurchaseResponse.of(bought)))
            case Release(reservation, user):
                hold = inventory.release(reservation, user)
                return Answer(hold.outcome, _json(models.Reservation.of(hold)))
            case Restock(drop, quantity, size, None):
                return Answer("ok", {"id": inventory.restock(drop, quantity, size)[0].id})
            case Update(drop, changes):
                return Answer("ok", {"id": inventory.update_drop(drop, _renamed(changes, COLUMNS)).id})
            case Sweep(None):
                return Answer("ok", _json(sweep(0)))
            case Sweep(limit) if limit is not None:
                return Answer("ok", {"expired": inventory.expire_due(limit).expired})
    except HoldfastError as error:
        return Answer(error.code)
    raise TypeError(call)


def _json(model: models.Wire) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True)


def in_transaction(session: Session, call: Call) -> Callable[[], Answer]:
    """Make a call in an open transaction; what is returned tells its answer once that is committed."""
    match call:
        case Reserve(drop, user, size):
            outcome, hold = session.reserve(drop, user, size)
            return lambda: Answer(outcome) if hold is None else Answer(outcome, _reservation(hold, user))
        case Purchase(reservation, user):
            outcome = session.purchase(reservation, user)
            bought = outcome in ("ok", "replayed")
            return lambda: Answer(outcome, directly(call).body if bought else {})
        case Release(reservation, user):
            outcome = session.release(reservation, user)
            released = outcome in ("ok", "replayed")
            return lambda: Answer(outcome, _reservation(reservation, user) if released else {})
        case Restock(drop, quantity, size, None):
            outcome = session.restock(drop, quantity, size)
            return lambda: Answer(outcome, {"id": drop})
        case Update(drop, changes):
            text = json.dumps(_renamed(changes, COLUMNS))
            (outcome,) = session.row("select update_drop(%s, %s)", drop, text)
            return lambda: Answer(outcome, {"id": drop})
        case Sweep(limit) if limit is not None:
            expired = session.expire_due(limit)
            return lambda: Answer("ok", {"expired": expired})
    raise TypeError(call)


def _reservation(hold: int, user: int) -> dict[str, Any]:
    return _json(models.Reservation.of(inventory.get_reservation(hold, user)))
