"""The lock rules of sql/functions.sql, proven by interleaving: one session holds a lock while another acts.

Nothing here is timed. A call that must not wait runs while the other session keeps its locks to the end, so that a
wait ends as an error, by lock_timeout; a call that must wait is watched until Postgres says that it waits.
"""

from datetime import timedelta

import pytest

from lib import errors, inventory
from tests.support.buyers import (
    Session,
    in_background,
    never_waits,
    sessions,
    wait_until_blocked,
)

MICROSECOND = timedelta(microseconds=1)


def _wrote_nothing(session: Session) -> bool:
    """Whether the open transaction has neither written nor locked a row: both take a transaction id."""
    return session.row("select pg_current_xact_id_if_assigned() is null")[0]


def test_reserve_never_waits_for_a_stripe(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=100), make_users(1)
    with sessions(database, 2) as (other, buyer):
        other.begin()
        other.lock_stripes(drop)
        assert never_waits(buyer).reserve(drop, user) == ("busy", None)
    assert database.stock(drop) == (100, 0, 0)


def test_a_reserve_never_waits_for_the_stripe_of_the_buyers_own_overdue_hold(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=1, hold_seconds=60), make_users(1)
    inventory.reserve(drop, user)
    database.shift_clock(61)
    with sessions(database, 2) as (other, buyer):
        other.begin()
        other.lock_stripes(drop)
        assert never_waits(buyer).reserve(drop, user) == ("busy", None)
    assert database.stock(drop) == (0, 1, 0)


def test_locked_units_are_told_busy_and_never_sold_out(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=1), make_users(1)
    with sessions(database, 1) as (other,):
        other.begin()
        other.lock_stripes(drop)
        with pytest.raises(errors.Busy):
            inventory.reserve(drop, user)
        other.rollback()
        assert inventory.reserve(drop, user).outcome == "ok"


def test_a_unit_being_taken_is_busy_until_the_commit_and_then_sold_out(database, make_drop, make_users):
    drop, (first, second) = make_drop(stock=1), make_users(2)
    with sessions(database, 2) as (a, b):
        a.begin()
        a.hold(drop, first)
        assert never_waits(b).reserve(drop, second)[0] == "busy"
        a.commit()
        assert b.reserve(drop, second)[0] == "sold_out"
    assert database.stock(drop) == (0, 1, 0)


def test_a_buyer_who_dies_before_the_commit_leaves_the_unit_to_others(database, make_drop, make_users):
    drop, (first, second) = make_drop(stock=1), make_users(2)
    with sessions(database, 2) as (a, b):
        a.begin()
        a.hold(drop, first)
        database.value("select pg_terminate_backend(%s, 10000)", [a.pid])
        assert b.reserve(drop, second)[0] == "ok"
    assert database.stock(drop) == (0, 1, 0)
    assert database.value("select count(*) from outbox where kind = 'stock'") == 1


def test_reserve_takes_a_free_stripe_beside_locked_ones(database, make_drop, make_users):
    drop, users = make_drop(stock=8), make_users(3)  # two stripes of four
    with sessions(database, 3) as (a, b, c):
        a.begin()
        b.begin()
        assert a.reserve(drop, users[0])[0] == "ok"
        assert never_waits(b).reserve(drop, users[1])[0] == "ok"
        assert never_waits(c).reserve(drop, users[2])[0] == "busy"
        a.commit()
        b.commit()
    assert database.rows("select distinct stripe from reservations order by 1") == [(0,), (1,)]
    assert database.stock(drop) == (6, 2, 0)


def test_the_only_stripe_with_stock_is_found_wherever_the_search_begins(database, make_drop, make_users):
    drop, users = make_drop(stock=256), make_users(5)  # 64 stripes of four
    inventory.restock(drop, -252)
    # Of the 64 places to begin at, only its own meets the first stripe by chance.
    move = "update stock_stripes set available = 4 * (stripe = 0)::integer where drop_id = %s"
    database.connection.execute(move, [drop])
    with sessions(database, 1) as (session,):
        answers = [session.reserve(drop, user)[0] for user in users]
    assert answers == ["ok"] * 4 + ["sold_out"]
    assert database.stock(drop) == (0, 4, 0)


def test_sold_out_takes_no_lock_and_writes_nothing(database, make_drop, make_users):
    drop, users = make_drop(stock=8), make_users(9)
    for user in users[:8]:
        inventory.purchase(inventory.reserve(drop, user).id, user)
    with sessions(database, 1) as (session,):
        session.begin()
        assert session.reserve(drop, users[8])[0] == "sold_out"
        assert _wrote_nothing(session)


def test_sold_out_is_answered_while_others_hold_every_lock(database, make_drop, make_users):
    drop, (owner, other) = make_drop(stock=1), make_users(2)
    hold = inventory.reserve(drop, owner)
    with sessions(database, 2) as (locker, buyer):
        locker.begin()
        locker.lock_stripes(drop)
        locker.connection.execute("select from reservations for update")
        locker.connection.execute("select from drops for update")
        assert never_waits(buyer).reserve(drop, other)[0] == "sold_out"
        assert buyer.reserve(drop, owner) == ("replayed", hold.id)


def test_a_unit_that_a_sweep_returns_between_two_looks_is_not_told_sold_out(database, make_drop, make_users):
    # The function that looks for a stripe is held up after its first statement, as a busy processor may do. Meanwhile
    # the unit, overdue and so free all the time, goes from the due holds to the stock.
    source = database.value("select pg_get_functiondef('lock_any_stripe'::regproc)")
    head, body = source.split("begin\n", 1)
    first, others = body.split(";\n", 1)
    database.connection.execute(f"{head}begin\n{first};\nperform pg_advisory_xact_lock(1);\n{others}")
    drop, (old, new) = make_drop(stock=1), make_users(2)
    inventory.reserve(drop, old)
    database.shift_clock(61)
    with sessions(database, 2) as (buyer, sweeper):
        sweeper.begin()
        sweeper.connection.execute("select pg_advisory_xact_lock(1)")
        asked = in_background(lambda: buyer.reserve(drop, new))
        wait_until_blocked(database, buyer, by=sweeper)
        assert sweeper.expire_due() == 1
        sweeper.commit()
        assert asked.result(30)[0] == "busy"
    assert inventory.reserve(drop, new).outcome == "ok"


def test_who_took_the_last_unit_in_another_window_is_given_it_and_not_told_sold_out(database, make_drop, make_users):
    # A repeated call that begins before the first one has committed, and looks at the stock after it has. The limit
    # makes it look at purchases in between, and there it is held up.
    drop, (user,) = make_drop(stock=1, max_per_user=5), make_users(1)
    with sessions(database, 3) as (first, again, other):
        first.begin()
        hold = first.hold(drop, user)
        other.begin()
        locked = in_background(lambda: other.connection.execute("lock table purchases in access exclusive mode"))
        wait_until_blocked(database, other, by=first)
        repeated = in_background(lambda: again.reserve(drop, user))
        wait_until_blocked(database, again, by=other)
        first.commit()
        locked.result(30)
        other.rollback()
        assert repeated.result(30) == ("replayed", hold)
    assert database.stock(drop) == (0, 1, 0)


@pytest.mark.parametrize("refused", ["paused", "not_started", "limit", "unknown_size"])
def test_a_refusal_takes_no_lock_and_writes_nothing(database, make_drop, make_users, refused):
    drop, (user,) = make_drop(max_per_user=1), make_users(1)
    if refused == "paused":
        inventory.update_drop(drop, {"state": "PAUSED"})
    elif refused == "not_started":
        inventory.update_drop(drop, {"drop_start_time": "2999-01-01T00:00:00Z"})
    elif refused == "limit":
        inventory.purchase(inventory.reserve(drop, user).id, user)
    with sessions(database, 1) as (session,):
        session.begin()
        outcome, _ = session.reserve(drop, user, "8" if refused == "unknown_size" else None)
        assert outcome != "ok" and _wrote_nothing(session)


def test_replay_takes_no_lock_and_writes_nothing(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    hold = inventory.reserve(drop, user)
    with sessions(database, 1) as (session,):
        session.begin()
        assert session.reserve(drop, user) == ("replayed", hold.id)
        assert _wrote_nothing(session)


def test_purchase_needs_no_stripe(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    hold = inventory.reserve(drop, user)
    with sessions(database, 2) as (other, buyer):
        other.begin()
        other.lock_stripes(drop)
        assert never_waits(buyer).purchase(hold.id, user) == "ok"
    assert database.stock(drop) == (4, 0, 1)


def test_purchase_needs_no_lock_on_the_drop(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    hold = inventory.reserve(drop, user)
    with sessions(database, 2) as (other, buyer):
        other.begin()
        other.connection.execute("select from drops for no key update")
        assert never_waits(buyer).purchase(hold.id, user) == "ok"


def test_expire_due_skips_locked_stripes_and_takes_them_later(database, make_drop, make_users):
    drop, users = make_drop(stock=8), make_users(8)  # two stripes of four
    for user in users:
        inventory.reserve(drop, user)
    database.shift_clock(61)
    with sessions(database, 2) as (other, sweeper):
        other.begin()
        other.connection.execute("select from stock_stripes where stripe = 0 for no key update")
        assert never_waits(sweeper).expire_due() == 4
        assert database.stock(drop) == (4, 4, 0)
        assert sweeper.expire_due() == 0
        other.commit()
        assert sweeper.expire_due() == 4
    assert database.stock(drop) == (8, 0, 0)


def test_expire_due_skips_a_hold_that_is_being_bought(database, make_drop, make_users):
    drop, users = make_drop(stock=3), make_users(3)
    holds = [inventory.reserve(drop, user) for user in users]
    database.freeze_clock(holds[0].expires_at - MICROSECOND)
    with sessions(database, 2) as (buyer, sweeper):
        buyer.begin()
        assert buyer.purchase(holds[0].id, users[0]) == "ok"
        database.freeze_clock(holds[2].expires_at)
        assert never_waits(sweeper).expire_due() == 2
        buyer.commit()
        assert sweeper.expire_due() == 0
    assert database.stock(drop) == (2, 0, 1)


def test_two_sweeps_at_once_share_the_work_and_neither_waits(database, make_drop, make_users):
    drop, users = make_drop(stock=8), make_users(8)
    for user in users:
        inventory.reserve(drop, user)
    database.shift_clock(61)
    with sessions(database, 2) as (a, b):
        a.begin()
        first = a.expire_due(3)
        second = never_waits(b).expire_due()
        a.commit()
        rest = b.expire_due()
    assert first == 3 and first + second + rest == 8
    assert database.stock(drop) == (8, 0, 0)


def test_ten_buyers_in_flight_do_not_wait_for_each_other(database, make_drop, make_users):
    drop, users = make_drop(stock=100), make_users(10)
    with sessions(database, 10) as buyers:
        for buyer, user in zip(buyers, users, strict=True):
            buyer.begin()
            assert never_waits(buyer).reserve(drop, user)[0] == "ok"
        for buyer in buyers:
            buyer.commit()
    assert database.stock(drop) == (90, 10, 0)
