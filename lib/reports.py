"""What the shop reads about its drops: one typed function for each SQL function of sql/functions_reports.sql.

Apart from lib/inventory.py, which buyers' functions load.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from lib import db, errors, trace
from lib.fields import MAX_ID
from lib.records import Drop

# One statement of an export reads so many purchases: some 300 kB, and 10 ms of the database.
EXPORT_PAGE = 2000
# A chart is not wider than that. Purchases older than the newest 20,000 would make the history slow.
HISTORY_POINTS = 600
HISTORY_PURCHASES = 20_000


@dataclass(frozen=True, slots=True)
class Stats:
    """A drop's figures at one instant. total_stock = available + active + overdue + purchased."""

    server_time: datetime
    total_stock: int
    available: int
    active: int
    overdue: int
    purchased: int
    expired: int
    released: int
    revenue: Decimal
    currency: str
    median_seconds: float | None

    @property
    def conversion(self) -> float | None:
        """The share of ended holds that ended as a purchase; None before the first one ended."""
        ended = self.purchased + self.expired + self.released
        return self.purchased / ended if ended else None


@dataclass(frozen=True, slots=True)
class StockSample:
    """The stock at an instant. `sold` is None where too many purchases came since."""

    at: datetime
    total_stock: int
    available: int
    sold: int | None


@dataclass(frozen=True, slots=True)
class LiveHold:
    id: int
    user_id: int
    username: str
    size: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Sale:
    """A purchase with its buyer's name."""

    id: int
    reservation_id: int
    user_id: int
    username: str
    size: str
    price: Decimal
    currency: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Found:
    found: bool


def search_drops(text: str | None, status: str | None, limit: int, before: int) -> list[Drop]:
    """Up to `limit` drops with ids below `before`, newest first, with `text` in their name or as their id."""
    return db.fetch_all(
        Drop,
        """
        select (d.details).*, d.status, d.overdue
        from search_drops(%(text)s, %(status)s, %(limit)s, %(before)s) d
        """,
        {"text": text, "status": status, "limit": limit, "before": before},
    )


def stats(drop_id: int) -> Stats:
    """Raises DropNotFound."""
    found = db.fetch_all(Stats, "select * from drop_stats(%(drop)s)", {"drop": drop_id})
    if not found:
        raise errors.DropNotFound
    return found[0]


def history(drop_id: int) -> list[StockSample]:
    """The stock over time, oldest first, from when the drop was made. Raises DropNotFound."""
    found = db.fetch_all(
        StockSample,
        "select * from stock_history(%(drop)s, %(points)s, %(purchases)s)",
        {"drop": drop_id, "points": HISTORY_POINTS, "purchases": HISTORY_PURCHASES},
    )
    return found or _none_of(drop_id)


def live_holds(drop_id: int, limit: int, after: int | None = None) -> list[LiveHold]:
    """Who holds a unit now, who must decide soonest first, after the reservation `after`. Raises DropNotFound."""
    found = db.fetch_all(
        LiveHold,
        "select * from live_holds(%(drop)s, %(limit)s, %(after)s)",
        {"drop": drop_id, "limit": limit, "after": after},
    )
    return found or _none_of(drop_id)


def newest_sales(drop_id: int, limit: int, before: int = MAX_ID) -> list[Sale]:
    """Purchases with ids below `before`, newest first. Raises DropNotFound."""
    found = db.fetch_all(
        Sale,
        "select * from newest_purchases(%(drop)s, %(limit)s, %(before)s)",
        {"drop": drop_id, "limit": limit, "before": before},
    )
    return found or _none_of(drop_id)


def oldest_sales(drop_id: int, limit: int, after: int = 0) -> list[Sale]:
    """Purchases with ids above `after`, oldest first. Raises DropNotFound."""
    found = db.fetch_all(
        Sale,
        "select * from oldest_purchases(%(drop)s, %(limit)s, %(after)s)",
        {"drop": drop_id, "limit": limit, "after": after},
    )
    return found or _none_of(drop_id)


def sales_by_page(drop_id: int, after: int = 0, limit: int | None = None) -> Iterator[list[Sale]]:
    """The same in pages of EXPORT_PAGE, each read when it is asked for and with a time limit of its own.

    Between two pages nothing is held: no statement, no connection, and one page of memory.
    """
    while limit is None or limit > 0:
        wanted = EXPORT_PAGE if limit is None else min(EXPORT_PAGE, limit)
        # The request's time limit is for one statement; an export has many.
        token = trace.current.set(None)
        try:
            page = oldest_sales(drop_id, wanted, after)
        finally:
            trace.current.reset(token)
        if page:
            yield page
            after = page[-1].id
        if len(page) < wanted:
            return
        limit = None if limit is None else limit - len(page)


def _none_of(drop_id: int) -> list[Any]:
    """An empty list, if there is such a drop. Raises DropNotFound."""
    if not db.fetch_one(_Found, "select drop_exists(%(drop)s) as found", {"drop": drop_id}).found:
        raise errors.DropNotFound
    return []
