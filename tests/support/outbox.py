"""The outbox as a deliverer sees it, one call at a time."""

import contextlib
from typing import Any

from lib import inventory
from lib.errors import SoldOut
from tests.support.database import Database

GAP_MS = 250
LEASE_SECONDS = 5
CLAIM = "select events, next_in_ms from claim_events(%s, %s, %s)"
Event = dict[str, Any]


class Outbox:
    """Claims and acks as a deliverer does."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def claim(self, limit: int = 100, gap_ms: int = GAP_MS) -> list[Event]:
        return self.claim_and_wait(limit, gap_ms)[0]

    def claim_and_wait(self, limit: int = 100, gap_ms: int = GAP_MS) -> tuple[list[Event], int | None]:
        return self.database.rows(CLAIM, [limit, LEASE_SECONDS, gap_ms])[0]

    def ack(self, found: list[Event]) -> None:
        self.database.rows("select ack_events(%s)", [[event["id"] for event in found]])

    def drain(self) -> None:
        while found := self.claim(gap_ms=0):
            self.ack(found)

    def settle(self) -> None:
        """Nothing waits, and no drop has sent anything for a long time."""
        self.drain()
        self.database.shift_clock(60)

    def waiting(self) -> int:
        return int(self.database.value("select count(*) from outbox"))


def stocks(found: list[Event]) -> list[tuple[int, int]]:
    """(drop, stock) of each stockUpdate."""
    return [(event["dropId"], event["data"]["availableStock"]) for event in found if event["kind"] == "stock"]


def buy(drop: int, users: list[int]) -> list[int]:
    """Ids of new purchases."""
    return [inventory.purchase(inventory.reserve(drop, user).id, user).id for user in users]


def reserve_if_possible(drop: int, user: int) -> None:
    with contextlib.suppress(SoldOut):
        inventory.reserve(drop, user)
