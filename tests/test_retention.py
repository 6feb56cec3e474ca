"""Old reservations: kept unless told otherwise, and then only what nobody can need goes, in batches."""

from collections.abc import Callable
from typing import Any

import pytest

from lib import inventory
from lib.audits import audit_rows
from scheduled.reap import sweep
from tests.support.buyers import in_background, sessions, wait_until_blocked
from tests.support.database import Database

Make = Callable[..., Any]
DAY = 24 * 60 * 60.0
FORGET = "select forget_reservations(%s, %s)"


@pytest.fixture
def shop(database: Database, make_drop: Make, make_users: Make) -> dict[str, int]:
    """One reservation of each kind, 40 days old but for the last two."""
    drop = make_drop(10)
    expired, released, bought, young, live = make_users(5)
    made = {"expired": inventory.reserve(drop, expired).id, "released": inventory.reserve(drop, released).id}
    inventory.release(made["released"], released)
    made["bought"] = inventory.reserve(drop, bought).id
    inventory.purchase(made["bought"], bought)
    database.shift_clock(40 * DAY)
    inventory.expire_due(10)
    database.connection.execute("update reservations set closed_at = created_at + interval '1 min'")
    made["young"] = inventory.reserve(drop, young).id
    inventory.release(made["young"], young)
    made["live"] = inventory.reserve(drop, live).id
    return made


def _left(database: Database, shop: dict[str, int]) -> set[str]:
    ids = {row[0] for row in database.rows("select id from reservations")}
    return {name for name, number in shop.items() if number in ids}


def test_what_is_forgotten_while_somebody_gives_it_back_is_not_there(
    database: Database, shop: dict[str, int], make_users: Make
) -> None:
    owner = database.value("select user_id from reservations where id = %s", [shop["expired"]])
    with sessions(database, 2) as (keeper, buyer):
        keeper.begin()
        keeper.connection.execute("select from stock_stripes for update")
        released = in_background(lambda: buyer.release(shop["expired"], owner))
        wait_until_blocked(database, buyer, keeper)
        keeper.connection.execute("delete from reservations where id = %s", [shop["expired"]])
        keeper.commit()
        assert released.result(10) == "reservation_not_found"


def test_without_the_setting_everything_is_kept(database: Database, shop: dict[str, int]) -> None:
    sweep(0)
    assert _left(database, shop) == set(shop)


def test_what_ended_without_a_purchase_long_ago_is_deleted(
    database: Database, shop: dict[str, int], configure: Make
) -> None:
    configure(RETENTION_DAYS="30")
    sweep(0)
    assert _left(database, shop) == {"bought", "young", "live"}
    database.assert_conserved()


def test_what_was_too_young_is_deleted_when_it_is_old_enough(
    database: Database, shop: dict[str, int], configure: Make
) -> None:
    configure(RETENTION_DAYS="30")
    sweep(0)
    database.shift_clock(31 * DAY)
    inventory.expire_due(10)
    sweep(0)
    assert _left(database, shop) == {"bought", "live"}


def test_each_batch_goes_on_where_the_one_before_it_ended(database: Database, shop: dict[str, int]) -> None:
    deleted = [inventory.forget_reservations(30, 1) for _ in range(4)]
    assert deleted == [1, 1, 0, None]
    assert database.value("select last_id from retention") == shop["bought"]


def test_an_audit_does_not_miss_them_and_still_misses_a_lost_hold(database: Database, shop: dict[str, int]) -> None:
    drop = database.value("select drop_id from reservations where id = %s", [shop["live"]])
    database.connection.execute("delete from outbox")  # events of 40 days ago, which no function was there to deliver
    assert inventory.forget_reservations(30, 1000) == 2
    assert {finding["rule"] for finding in audit_rows(drop, 10)} == {"viewers_not_told"}
    database.connection.execute("delete from reservations where id = %s", [shop["young"]])
    assert {finding["rule"] for finding in audit_rows(drop, 10)} == {"viewers_not_told", "ended_holds_miscounted"}


def test_of_two_at_once_the_second_leaves_it_to_the_first(database: Database, shop: dict[str, int]) -> None:
    with sessions(database, 2) as (first, second):
        first.begin()
        assert first.row(FORGET, 30, 1000) == (2,)
        second.connection.execute("set lock_timeout = '1s'")
        assert second.row(FORGET, 30, 1000) == (None,)
        first.commit()
    assert _left(database, shop) == {"bought", "young", "live"}
