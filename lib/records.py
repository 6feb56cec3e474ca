"""The rows that SQL functions return, as dataclasses: what lib/inventory.py gives to routes."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self


def time_of(text: str) -> datetime:
    """Of a time in JSON from Postgres, in whatever time zone the session is."""
    return datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation. `server_time` is the database's clock at the call; `replayed`: an earlier call made it."""

    id: int
    user_id: int
    drop_id: int
    size: str
    stripe: int
    status: str
    expires_at: datetime
    created_at: datetime
    closed_at: datetime | None
    outcome: str
    server_time: datetime

    @property
    def replayed(self) -> bool:
        return self.outcome == "replayed"


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase. `drop_snapshot`: the drop as it was then, as PurchasedDrop of lib/models.py."""

    id: int
    reservation_id: int
    user_id: int
    drop_id: int
    size: str
    price: Decimal
    currency: str
    created_at: datetime
    drop_snapshot: dict[str, Any]
    outcome: str

    @property
    def replayed(self) -> bool:
        return self.outcome == "replayed"


@dataclass(frozen=True, slots=True)
class Drop:
    """A drop as viewers see it. `sizes` and `recent_purchases` are as in the API (camelCase)."""

    id: int
    name: str
    image_url: str | None
    price: Decimal
    currency: str
    total_stock: int
    available_stock: int
    sold_count: int
    state: str
    drop_start_time: datetime
    drop_end_time: datetime | None
    hold_seconds: int
    max_per_user: int | None
    sizes: list[dict[str, Any]]
    version: int
    next_expiry_at: datetime | None
    recent_purchases: list[dict[str, Any]]
    stock_version: int
    status: str
    overdue: bool

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> Self:
        """Of get_drop's or list_drops' row."""
        details = told["details"]
        for name in ("drop_start_time", "drop_end_time", "next_expiry_at"):
            details[name] = details[name] and time_of(details[name])
        return cls(**details, status=told["status"], overdue=told["overdue"])


@dataclass(frozen=True, slots=True)
class User:
    id: int
    username: str


@dataclass(frozen=True, slots=True)
class Swept:
    """What one expire_due call did, and when the next hold is due (None: no hold is live)."""

    expired: int
    next_due_at: datetime | None
    server_time: datetime


@dataclass(frozen=True, slots=True)
class Health:
    """`audit_findings` stand in `audit_drops`, a hundred of them at most."""

    events_waiting: int
    oldest_event_seconds: float
    overdue_holds: int
    oldest_overdue_seconds: float
    audit_findings: int
    audit_drops: list[int]


@dataclass(frozen=True, slots=True)
class HoldLeft(Hold):
    """A hold with the seconds it is still good for (0 unless ACTIVE)."""

    seconds_left: float


@dataclass(frozen=True, slots=True)
class Audit:
    """What one audit of a drop found: findings [{rule, table, id, detail}]."""

    outcome: str
    findings: list[dict[str, Any]]
    audited_at: datetime
    took_ms: float


@dataclass(frozen=True, slots=True)
class NextAudit:
    """The drop whose turn it was (None: nobody's), and what was found."""

    drop_id: int | None
    findings: list[dict[str, Any]] | None
    took_ms: float | None
