"""stockVersion: of any two readings of a drop's stock, by snapshot or by event, the newer one has the higher number."""

from collections.abc import Callable
from typing import Any

import pytest

from lib import inventory
from lib.errors import SoldOut
from scheduled.reap import sweep
from tests.support.buyers import Session, sessions
from tests.support.database import Database
from tests.support.outbox import GAP_MS, LEASE_SECONDS, Outbox

Make = Callable[..., Any]


def reading(drop: int) -> tuple[int, int]:
    """(stockVersion, stock) of a snapshot."""
    snapshot = inventory.get_drop(drop)
    return snapshot.stock_version, snapshot.available_stock


def fold(session: Session) -> tuple[int, int]:
    """(stockVersion, stock) of the one event that this session claims."""
    (event,) = session.row("select events from claim_events(100, %s, %s)", LEASE_SECONDS, GAP_MS)[0]
    return event["data"]["stockVersion"], event["data"]["availableStock"]


def test_a_snapshot_read_while_an_event_is_folded_counts_as_the_newer_one(
    database: Database, make_drop: Make, make_users: Make
) -> None:
    drop, (ann, bob) = make_drop(stock=5), make_users(2)
    Outbox(database).settle()
    inventory.reserve(drop, ann)
    with sessions(database, 1) as (courier,):
        courier.begin()
        folded = fold(courier)
        inventory.reserve(drop, bob)  # after the event's stock was read, and before the event is on its way
        read = reading(drop)
        courier.commit()
    assert (folded[1], read[1]) == (4, 3)
    assert read[0] > folded[0]


def test_a_snapshot_and_an_event_of_one_stock_have_one_number(
    database: Database, make_drop: Make, make_users: Make
) -> None:
    drop, (ann,) = make_drop(stock=5), make_users(1)
    Outbox(database).settle()
    inventory.reserve(drop, ann)
    before = reading(drop)
    with sessions(database, 1) as (courier,):
        assert fold(courier) == before == reading(drop)


def by_reserving(drop: int, ann: int, bob: int, database: Database) -> None:
    inventory.reserve(drop, ann)


def by_releasing(drop: int, ann: int, bob: int, database: Database) -> None:
    inventory.release(inventory.reserve(drop, bob).id, bob)


def by_expiring(drop: int, ann: int, bob: int, database: Database) -> None:
    database.shift_clock(61)
    sweep(0)


def by_taking_an_overdue_unit(drop: int, ann: int, bob: int, database: Database) -> None:
    database.shift_clock(61)
    inventory.reserve(drop, bob)


def by_asking_again_after_the_deadline(drop: int, ann: int, bob: int, database: Database) -> None:
    database.shift_clock(61)
    inventory.reserve(drop, ann)


def by_adding_units(drop: int, ann: int, bob: int, database: Database) -> None:
    inventory.restock(drop, 40)


def by_taking_units_away(drop: int, ann: int, bob: int, database: Database) -> None:
    inventory.restock(drop, -1)


@pytest.mark.parametrize(
    "change",
    [
        by_releasing,
        by_expiring,
        by_taking_an_overdue_unit,
        by_asking_again_after_the_deadline,
        by_adding_units,
        by_taking_units_away,
    ],
)
def test_every_change_of_stock_counts(
    database: Database, make_drop: Make, make_users: Make, change: Callable[[int, int, int, Database], None]
) -> None:
    drop, (ann, bob) = make_drop(stock=2, hold_seconds=60), make_users(2)
    fresh = reading(drop)
    by_reserving(drop, ann, bob, database)
    reserved = reading(drop)
    assert reserved[0] > fresh[0]
    change(drop, ann, bob, database)
    assert reading(drop)[0] > reserved[0]
    database.assert_conserved()


def test_what_changes_no_stock_does_not_count(database: Database, make_drop: Make, make_users: Make) -> None:
    drop, (ann, bob) = make_drop(stock=1), make_users(2)
    hold = inventory.reserve(drop, ann)
    reserved = reading(drop)
    inventory.reserve(drop, ann)
    with pytest.raises(SoldOut):
        inventory.reserve(drop, bob)
    inventory.purchase(hold.id, ann)
    inventory.update_drop(drop, {"price": 3})
    Outbox(database).settle()
    assert reading(drop) == reserved
