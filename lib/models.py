"""The wire types of answers. camelCase, as in the README; request bodies are in bodies.py."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from lib.fields import DropStatus, Money, UtcTime
from lib.records import Drop as DropRecord
from lib.records import Hold, HoldLeft
from lib.records import Purchase as PurchaseRecord


class Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class DropSize(Wire):
    size: str
    total_stock: int
    available_stock: int


class RecentPurchase(Wire):
    user_id: int
    username: str
    timestamp: str


class Drop(Wire):
    id: int
    name: str
    image_url: str | None
    price: Money
    currency: str
    total_stock: int
    available_stock: int
    sold_count: int
    status: DropStatus
    drop_start_time: UtcTime
    drop_end_time: UtcTime | None
    hold_seconds: int
    max_per_user: int | None
    sizes: list[DropSize]
    version: int
    stock_version: int
    next_expiry_at: UtcTime | None
    recent_purchases: list[RecentPurchase]

    @classmethod
    def of(cls, record: DropRecord) -> Self:
        return cls.model_validate(record, from_attributes=True)


class DropResponse(Wire):
    drop: Drop


class DropCreated(Wire):
    message: str
    drop: Drop


class Reservation(Wire):
    id: int
    user_id: int
    drop_id: int
    size: str
    status: Literal["ACTIVE", "EXPIRED", "PURCHASED", "RELEASED"]
    # The original's clients read this name.
    expires_at: UtcTime = Field(alias="expires_at")
    created_at: UtcTime

    @classmethod
    def of(cls, hold: Hold) -> Self:
        return cls.model_validate(hold, from_attributes=True)


class ReserveResponse(Wire):
    message: str
    reservation: Reservation
    expires_at: UtcTime
    server_time: UtcTime

    @classmethod
    def of(cls, hold: Hold) -> Self:
        message = "You already hold this one" if hold.replayed else "Reserved"
        return cls(
            message=message, reservation=Reservation.of(hold), expires_at=hold.expires_at, server_time=hold.server_time
        )


class ReservationResponse(Wire):
    reservation: Reservation


class Reservations(Wire):
    reservations: list[Reservation]


class ReservationStatus(Wire):
    reservation: Reservation
    seconds_left: float

    @classmethod
    def of(cls, hold: HoldLeft) -> Self:
        return cls(reservation=Reservation.of(hold), seconds_left=round(hold.seconds_left, 3))


class Purchase(Wire):
    id: int
    reservation_id: int
    user_id: int
    drop_id: int
    size: str
    price: Money
    currency: str
    timestamp: UtcTime


class PurchasedDrop(Wire):
    """The drop at the moment of the purchase, so that a repeated request can give the same answer."""

    id: int
    name: str
    image_url: str | None
    price: Money
    currency: str
    total_stock: int
    available_stock: int
    drop_start_time: UtcTime
    version: int


class PurchaseResponse(Wire):
    message: str
    purchase: Purchase
    drop: PurchasedDrop

    @classmethod
    def of(cls, record: PurchaseRecord) -> Self:
        return cls(
            message="Purchased",
            purchase=Purchase(timestamp=record.created_at, **_fields(Purchase, record)),
            drop=PurchasedDrop.model_validate(record.drop_snapshot),
        )


def _fields(model: type[Wire], record: object) -> dict[str, Any]:
    return {name: getattr(record, name) for name in model.model_fields if hasattr(record, name)}


class User(Wire):
    id: int
    username: str


class UserCreated(Wire):
    message: str
    user: User


class Users(Wire):
    users: list[User]


class RealtimeOptions(Wire):
    """The options of pusher-js."""

    cluster: str
    ws_host: str | None = None
    ws_port: int | None = None
    wss_port: int | None = None
    force_tls: bool = Field(alias="forceTLS")
    enabled_transports: list[str] | None = None


class Channels(Wire):
    stock: str
    drop: str
    all: str


class Realtime(Wire):
    key: str
    options: RealtimeOptions
    channels: Channels


class DatabaseHealth(Wire):
    ok: bool
    ms: float


class EventsHealth(Wire):
    waiting: int
    oldest_seconds: float


class HoldsHealth(Wire):
    overdue: int
    oldest_seconds: float


class AuditHealth(Wire):
    """What audits found and nobody has mended, and the drops in question."""

    findings: int
    drops: list[int]


class Health(Wire):
    status: Literal["ok", "degraded", "damaged", "down"]
    # Why it is not ok; the first three are `down`, audit_findings is `damaged`.
    problems: list[
        Literal[
            "database_unavailable",
            "busy",
            "not_configured",
            "events_stuck",
            "holds_overdue",
            "audit_findings",
            "settings_missing",
        ]
    ]
    database: DatabaseHealth
    events: EventsHealth | None
    holds: HoldsHealth | None
    audit: AuditHealth | None
    configuration: list[str]
    commit: str
    error: str | None = None
    code: str | None = None


class Sweep(Wire):
    expired: int
    published: int
    sweeps: int
    next_due_at: UtcTime | None


class Problem(BaseModel):
    """RFC 9457. `error` repeats `detail` for the original's clients."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    error: str
    request_id: str = Field(alias="requestId")
    errors: list[dict[str, Any]] | None = None
