"""The wire types of the shop's reports. Apart from models.py, which buyers' functions load."""

from typing import Self

from lib import reports
from lib.fields import Money, UtcTime
from lib.models import Drop, Wire
from lib.records import Audit


class DropsFound(Wire):
    drops: list[Drop]


class HoldCounts(Wire):
    """`overdue` ones are past their deadline and not expired yet; the last three have ended."""

    active: int
    overdue: int
    purchased: int
    expired: int
    released: int


class DropStats(Wire):
    drop_id: int
    server_time: UtcTime
    total_stock: int
    available_stock: int
    holds: HoldCounts
    conversion: float | None
    median_seconds_to_purchase: float | None
    revenue: Money
    currency: str

    @classmethod
    def of(cls, drop_id: int, record: reports.Stats) -> Self:
        median = record.median_seconds
        return cls(
            drop_id=drop_id,
            server_time=record.server_time,
            total_stock=record.total_stock,
            available_stock=record.available,
            holds=HoldCounts.model_validate(record, from_attributes=True),
            conversion=None if record.conversion is None else round(record.conversion, 4),
            median_seconds_to_purchase=None if median is None else round(median, 3),
            revenue=record.revenue,
            currency=record.currency,
        )


class HistoryPoint(Wire):
    """`heldCount` and `soldCount` are null where the drop has sold too much since to tell them apart."""

    at: UtcTime
    total_stock: int
    available_stock: int
    held_count: int | None
    sold_count: int | None

    @classmethod
    def of(cls, record: reports.StockSample) -> Self:
        held = None if record.sold is None else record.total_stock - record.available - record.sold
        return cls(
            at=record.at,
            total_stock=record.total_stock,
            available_stock=record.available,
            held_count=held,
            sold_count=record.sold,
        )


class DropHistory(Wire):
    points: list[HistoryPoint]


class LiveHold(Wire):
    id: int
    user_id: int
    username: str
    size: str
    created_at: UtcTime
    expires_at: UtcTime

    @classmethod
    def of(cls, record: reports.LiveHold) -> Self:
        return cls.model_validate(record, from_attributes=True)


class LiveHolds(Wire):
    holds: list[LiveHold]


class Sale(Wire):
    id: int
    reservation_id: int
    user_id: int
    username: str
    size: str
    price: Money
    currency: str
    timestamp: UtcTime

    @classmethod
    def of(cls, record: reports.Sale) -> Self:
        return cls(
            id=record.id,
            reservation_id=record.reservation_id,
            user_id=record.user_id,
            username=record.username,
            size=record.size,
            price=record.price,
            currency=record.currency,
            timestamp=record.created_at,
        )


class Sales(Wire):
    purchases: list[Sale]


class Finding(Wire):
    """What is wrong in one row: the rule that it breaks, and what is there."""

    rule: str
    table: str
    id: str
    detail: str


class DropAudit(Wire):
    drop_id: int
    ok: bool
    findings: list[Finding]
    audited_at: UtcTime
    ms: float

    @classmethod
    def of(cls, drop_id: int, audit: Audit) -> Self:
        return cls(
            drop_id=drop_id,
            ok=not audit.findings,
            findings=[Finding.model_validate(found) for found in audit.findings],
            audited_at=audit.audited_at,
            ms=round(audit.took_ms, 1),
        )
