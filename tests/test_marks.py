"""Marks of changed stock: holds of a drop share one, and none that somebody relies on is lost in a fold."""

from collections.abc import Callable
from typing import Any

import pytest

from lib import inventory
from tests.support.database import Database
from tests.support.outbox import CLAIM, LEASE_SECONDS, Outbox, stocks

Make = Callable[..., Any]
STOCK_MARKS = "select count(*) from outbox where kind = 'stock' and leased_until = '-infinity'"


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


@pytest.fixture
def drop(outbox: Outbox, make_drop: Make) -> int:
    """Five units, announced long ago."""
    made = int(make_drop(5, hold_seconds=3600))
    outbox.settle()
    return made


def test_holds_of_a_drop_share_one_mark(drop: int, make_users: Make, database: Database) -> None:
    for user in make_users(3):
        inventory.reserve(drop, user)

    assert database.value(STOCK_MARKS) == 1


def test_viewers_hear_of_units_that_come_back_from_expired_holds(
    outbox: Outbox, drop: int, make_users: Make, database: Database
) -> None:
    for user in make_users(3):
        inventory.reserve(drop, user)
    outbox.drain()
    database.shift_clock(3600)

    assert inventory.expire_due(10).expired == 3
    assert stocks(outbox.claim()) == [(drop, 5)]


def test_a_hold_in_flight_that_relies_on_a_mark_is_told_after_its_commit(
    outbox: Outbox, drop: int, make_users: Make, database: Database
) -> None:
    """A fold that deletes the mark meanwhile has read the stock too early for it."""
    first, second = make_users(2)
    inventory.reserve(drop, first)
    with database.connect() as other, other.transaction():
        other.execute("select reserve(%s, %s, null)", [drop, second])
        assert other.execute(STOCK_MARKS).fetchone() == (1,)
        early = outbox.claim(gap_ms=0)
        outbox.ack(early)

    assert stocks(early) == [(drop, 4)]
    late = outbox.claim(gap_ms=0)
    outbox.ack(late)
    assert stocks(late) == [(drop, 3)]
    assert outbox.claim_and_wait(gap_ms=0) == ([], None)


def test_a_hold_made_while_its_drop_is_folded_leaves_a_mark_of_its_own(
    outbox: Outbox, drop: int, make_users: Make, database: Database
) -> None:
    """It still sees the mark that the fold is about to delete."""
    first, second = make_users(2)
    inventory.reserve(drop, first)
    with database.connect() as other, other.transaction():
        ((early, _),) = other.execute(CLAIM, [100, LEASE_SECONDS, 0]).fetchall()
        inventory.reserve(drop, second)

    assert stocks(early) == [(drop, 4)]
    outbox.ack(early)
    assert stocks(outbox.claim(gap_ms=0)) == [(drop, 3)]
