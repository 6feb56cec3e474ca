"""What the database's clock wrote before it was set back, as when a server whose clock is behind takes over."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lib import inventory
from tests.support.database import Database
from tests.support.outbox import GAP_MS, Outbox, buy, stocks

Make = Callable[..., Any]

# So that the drop is open on either clock.
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def test_a_clock_that_was_set_back_holds_no_news_up(database: Database, make_drop: Make, make_users: Make) -> None:
    outbox, drop = Outbox(database), make_drop(5, start=LONG_AGO)
    outbox.settle()
    first, second, third = make_users(3)
    inventory.reserve(drop, first)
    outbox.ack(outbox.claim())
    buy(drop, [second])
    taken_by_who_died = outbox.claim(gap_ms=0)
    assert [event["kind"] for event in taken_by_who_died] == ["purchase", "stock"]

    database.shift_clock(-3600)  # another server took over, and its clock is behind
    inventory.reserve(drop, third)
    again, next_in_ms = outbox.claim_and_wait()
    outbox.ack(again)

    assert [event["kind"] for event in again] == ["purchase", "stock"]
    assert stocks(again) == [(drop, 2)]
    assert (next_in_ms, outbox.waiting()) == (None, 0)


def test_who_waits_after_a_clock_was_set_back_waits_no_longer_than_the_gap(
    database: Database, make_drop: Make, make_users: Make
) -> None:
    outbox, drop = Outbox(database), make_drop(5, start=LONG_AGO)
    outbox.settle()
    first, second = make_users(2)
    inventory.reserve(drop, first)
    outbox.ack(outbox.claim())
    database.shift_clock(-3600)
    inventory.reserve(drop, second)
    with database.connect() as other, other.transaction():
        other.execute("select from drop_feeds where drop_id = %s for no key update", [drop])
        nothing, next_in_ms = outbox.claim_and_wait()
    assert nothing == []
    assert next_in_ms is not None and 0 < next_in_ms <= GAP_MS
