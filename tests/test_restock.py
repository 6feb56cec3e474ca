"""Restock: units added and taken away while buyers buy."""

from functools import partial

import pytest

from lib import errors, inventory
from tests.support.buyers import CROWD, all_at_once, in_background, sessions, told, wait_until_blocked


def _stripes(database, drop, size=""):
    query = "select available from stock_stripes where drop_id = %s and size = %s order by stripe"
    return [row[0] for row in database.rows(query, [drop, size])]


def test_added_units_are_spread_over_the_stripes(database, make_drop):
    drop = make_drop(stock=400)
    restocked, replayed = inventory.restock(drop, 644)
    assert (restocked.total_stock, restocked.available_stock, replayed) == (1044, 1044, False)
    assert sum(_stripes(database, drop)) == 1044
    assert min(_stripes(database, drop)) == 16


def test_a_size_that_outgrows_its_stripes_gets_more(database, make_drop):
    drop = make_drop(stock=1)
    assert len(_stripes(database, drop)) == 1
    inventory.restock(drop, 999)
    assert len(_stripes(database, drop)) == 64
    assert min(_stripes(database, drop)) >= 15
    database.assert_conserved()


def test_units_can_be_taken_away_down_to_none(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=10), make_users(1)
    assert inventory.restock(drop, -10)[0].total_stock == 0
    with pytest.raises(errors.SoldOut):
        inventory.reserve(drop, user)
    assert _stripes(database, drop) == [0, 0]
    database.assert_conserved()


def test_a_sold_out_drop_sells_again_after_a_restock(database, make_drop, make_users):
    drop, (first, second) = make_drop(stock=1), make_users(2)
    inventory.purchase(inventory.reserve(drop, first).id, first)
    inventory.restock(drop, 1)
    assert inventory.reserve(drop, second).outcome == "ok"
    assert database.stock(drop) == (0, 1, 1)


def test_held_and_sold_units_cannot_be_taken_away(database, make_drop, make_users):
    drop, (holder, owner) = make_drop(stock=5), make_users(2)
    inventory.reserve(drop, holder)
    inventory.purchase(inventory.reserve(drop, owner).id, owner)
    tables = "select (select count(*) from outbox), d.total_stock, z.total_stock from drops d, drop_sizes z"
    before = database.rows(tables)
    with pytest.raises(errors.StockCommitted, match="Only 3 units"):
        inventory.restock(drop, -4)
    assert database.rows(tables) == before
    assert database.stock(drop) == (3, 1, 1)
    assert inventory.restock(drop, -3)[0].total_stock == 2
    database.assert_conserved()


def test_overdue_holds_are_freed_to_be_taken_away(database, make_drop, make_users):
    drop, users = make_drop(stock=5), make_users(3)
    for user in users:
        inventory.reserve(drop, user)
    database.shift_clock(61)
    assert inventory.restock(drop, -5)[0].total_stock == 0
    assert database.statuses(drop) == {"EXPIRED": 3}
    database.assert_conserved()


def test_one_size_is_restocked_and_the_others_are_not(database, make_drop):
    drop = make_drop(sizes=[("8", 2), ("9", 3)])
    inventory.restock(drop, 10, "9")
    assert (database.stock(drop, "8"), database.stock(drop, "9")) == ((2, 0, 0), (13, 0, 0))
    with pytest.raises(errors.StockCommitted):
        inventory.restock(drop, -3, "8")
    database.assert_conserved()


def test_restock_wants_a_size_that_the_drop_has(database, make_drop):
    sized, plain = make_drop(sizes=[("8", 2)]), make_drop(stock=2)
    with pytest.raises(errors.SizeRequired):
        inventory.restock(sized, 1)
    with pytest.raises(errors.UnknownSize):
        inventory.restock(sized, 1, "9")
    with pytest.raises(errors.UnknownSize):
        inventory.restock(plain, 1, "8")
    with pytest.raises(errors.DropNotFound):
        inventory.restock(plain + 1, 1)
    database.assert_conserved()


def test_a_drop_cannot_grow_over_a_million(database, make_drop):
    drop = make_drop(sizes=[("8", 999_998), ("9", 1)])
    with pytest.raises(errors.ValidationFailed):
        inventory.restock(drop, 2, "9")
    assert inventory.restock(drop, 1, "9")[0].total_stock == 1_000_000
    database.assert_conserved()


def test_a_repeated_key_restocks_once(database, make_drop):
    drop = make_drop(stock=5)
    answers = [inventory.restock(drop, 5, idempotency_key="k", request_hash="h") for _ in range(3)]
    assert [replayed for _, replayed in answers] == [False, True, True]
    assert database.stock(drop) == (10, 0, 0)


def test_a_key_posted_ten_times_at_once_restocks_once(database, make_drop, configure):
    configure(**CROWD)
    drop = make_drop(stock=5)
    answers = all_at_once([partial(inventory.restock, drop, 5, idempotency_key="k", request_hash="h")] * 10)
    assert sorted(replayed for _, replayed in answers) == [False] + [True] * 9
    assert database.stock(drop) == (10, 0, 0)


def test_a_key_with_another_request_is_refused(database, make_drop):
    drop = make_drop(stock=5)
    inventory.restock(drop, 5, idempotency_key="k", request_hash="h")
    with pytest.raises(errors.IdempotencyMismatch):
        inventory.restock(drop, 6, idempotency_key="k", request_hash="other")
    assert database.stock(drop) == (10, 0, 0)


def test_a_refused_restock_leaves_its_key_free(database, make_drop):
    drop = make_drop(stock=5)
    with pytest.raises(errors.StockCommitted):
        inventory.restock(drop, -6, idempotency_key="k", request_hash="h")
    inventory.restock(drop, 1)
    assert inventory.restock(drop, -6, idempotency_key="k", request_hash="h")[1] is False
    assert database.stock(drop) == (0, 0, 0)


def test_restock_waits_for_buyers_in_flight_in_stripe_order(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=8), make_users(1)
    with sessions(database, 3) as (other, admin, buyer):
        other.begin()
        other.connection.execute("select from stock_stripes where stripe = 1 for no key update")
        answer = in_background(lambda: admin.restock(drop, -8))
        wait_until_blocked(database, admin, by=other)
        # The first stripe is locked already, the second is the other's: a buyer finds none and does not wait.
        assert buyer.reserve(drop, user)[0] == "busy"
        other.commit()
        assert answer.result(10) == "ok"
        assert buyer.reserve(drop, user)[0] == "sold_out"
    database.assert_conserved()


def test_a_restock_that_waited_sees_the_unit_the_buyer_took(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=4), make_users(1)
    with sessions(database, 2) as (buyer, admin):
        buyer.begin()
        buyer.hold(drop, user)
        answer = in_background(lambda: admin.restock(drop, -4))
        wait_until_blocked(database, admin, by=buyer)
        buyer.commit()
        assert answer.result(10) == "stock_committed"
    assert database.stock(drop) == (3, 1, 0)
    database.assert_conserved()


def test_a_restock_that_waited_for_one_that_added_stripes_locks_those_too(database, make_drop, make_users):
    """Else a buyer takes a unit from a new stripe between the count of what is on sale and its removal."""
    drop, (user,) = make_drop(stock=4), make_users(1)
    with sessions(database, 4) as (first, editor, second, buyer):
        first.begin()
        assert first.restock(drop, 100) == "ok"  # one stripe becomes 26
        editor.begin()
        edit = in_background(lambda: editor.connection.execute("select from drops for no key update"))
        wait_until_blocked(database, editor, by=first)
        answer = in_background(lambda: second.restock(drop, -104))
        wait_until_blocked(database, second)
        first.commit()
        edit.result(10)
        wait_until_blocked(database, second, by=editor)
        buyer.begin()
        taken, _ = buyer.reserve(drop, user)
        editor.commit()
        if taken == "ok":
            wait_until_blocked(database, second, by=buyer)
        buyer.commit()
        assert answer.result(10) == ("stock_committed" if taken == "ok" else "ok")
    database.assert_conserved()


def test_restocks_up_and_down_among_buyers_conserve_every_unit(database, make_drop, make_users, configure):
    configure(**CROWD)
    drop, users = make_drop(stock=4), make_users(40)

    def buy(user: int) -> inventory.Purchase:
        return inventory.purchase(inventory.reserve(drop, user).id, user)

    def change(quantity: int) -> inventory._Restocked:
        inventory.restock(drop, quantity)
        return inventory._Restocked("ok", None)

    changes = [partial(change, quantity) for quantity in (40, -3, 30, -20, 25, -7, 60, -5)]
    counts = told(all_at_once([*changes, *(partial(buy, user) for user in users)]))
    assert set(counts) <= {"ok", "sold_out", "stock_committed"}
    database.assert_conserved()


def test_concurrent_restocks_add_up(database, make_drop, configure):
    """Read, change and write without a lock would lose some of these."""
    configure(**CROWD)
    drop = make_drop(stock=1)
    all_at_once([partial(inventory.restock, drop, 3)] * 16)
    assert database.stock(drop) == (49, 0, 0)
    assert inventory.get_drop(drop).total_stock == 49
    database.assert_conserved()


def test_restocks_of_two_sizes_at_once_do_not_deadlock(database, make_drop, configure):
    configure(**CROWD)
    drop = make_drop(sizes=[("8", 100), ("9", 100)])
    calls = [partial(inventory.restock, drop, 1, size) for _ in range(10) for size in ("8", "9")]
    assert not [result for result in all_at_once(calls) if isinstance(result, Exception)]
    assert (database.stock(drop, "8"), database.stock(drop, "9")) == ((110, 0, 0), (110, 0, 0))
    database.assert_conserved()
