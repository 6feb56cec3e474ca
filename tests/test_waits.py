"""Who may wait for whom, proven by interleaving: a call that waits is watched until Postgres says that it does."""

import time
from datetime import timedelta
from types import SimpleNamespace

from lib import inventory
from tests.support.buyers import in_background, never_waits, sessions, wait_until_blocked

MICROSECOND = timedelta(microseconds=1)


def test_release_waits_for_its_stripe_and_then_succeeds(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=1), make_users(1)
    hold = inventory.reserve(drop, user)
    with sessions(database, 2) as (other, buyer):
        other.begin()
        other.lock_stripes(drop)
        answer = in_background(lambda: buyer.release(hold.id, user))
        wait_until_blocked(database, buyer, by=other)
        other.commit()
        assert answer.result(10) == "ok"
    assert database.stock(drop) == (1, 0, 0)


def test_a_waiting_release_holds_nothing_that_a_purchase_needs(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=1), make_users(1)
    hold = inventory.reserve(drop, user)
    with sessions(database, 3) as (other, releaser, buyer):
        other.begin()
        other.lock_stripes(drop)
        answer = in_background(lambda: releaser.release(hold.id, user))
        wait_until_blocked(database, releaser, by=other)
        assert never_waits(buyer).purchase(hold.id, user) == "ok"
        other.commit()
        assert answer.result(10) == "reservation_closed"
    assert database.stock(drop) == (0, 0, 1)


def test_a_purchase_that_waited_past_the_deadline_is_refused(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    hold = inventory.reserve(drop, user)
    database.freeze_clock(hold.expires_at - MICROSECOND)
    with sessions(database, 2) as (other, buyer):
        other.begin()
        other.connection.execute("select from reservations for update")
        answer = in_background(lambda: buyer.purchase(hold.id, user))
        wait_until_blocked(database, buyer, by=other)
        database.freeze_clock(hold.expires_at)
        other.commit()
        assert answer.result(10) == "reservation_expired"
    assert database.stock(drop) == (4, 1, 0)


def test_a_release_that_waited_past_the_deadline_is_refused(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    hold = inventory.reserve(drop, user)
    with sessions(database, 2) as (other, buyer):
        other.begin()
        other.lock_stripes(drop)
        answer = in_background(lambda: buyer.release(hold.id, user))
        wait_until_blocked(database, buyer, by=other)
        database.shift_clock(61)
        other.commit()
        assert answer.result(10) == "reservation_expired"
    assert database.statuses(drop) == {"ACTIVE": 1}


def test_a_purchase_that_waited_for_the_sweep_is_refused(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=1), make_users(1)
    hold = inventory.reserve(drop, user)
    database.shift_clock(61)
    with sessions(database, 2) as (sweeper, buyer):
        sweeper.begin()
        assert sweeper.expire_due() == 1
        answer = in_background(lambda: buyer.purchase(hold.id, user))
        wait_until_blocked(database, buyer, by=sweeper)
        sweeper.commit()
        assert answer.result(10) == "reservation_expired"
    assert database.stock(drop) == (1, 0, 0)


def test_the_unit_of_a_purchase_in_flight_at_the_deadline_is_busy_then_sold_out(database, make_drop, make_users):
    drop, (owner, other) = make_drop(stock=1), make_users(2)
    hold = inventory.reserve(drop, owner)
    database.freeze_clock(hold.expires_at - MICROSECOND)
    with sessions(database, 2) as (a, b):
        a.begin()
        assert a.purchase(hold.id, owner) == "ok"
        database.freeze_clock(hold.expires_at)
        assert never_waits(b).reserve(drop, other)[0] == "busy"
        a.commit()
        assert b.reserve(drop, other)[0] == "sold_out"
    assert database.stock(drop) == (0, 0, 1)


def test_a_buyer_back_for_more_waits_for_the_purchase_of_the_overdue_hold(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=2), make_users(1)
    hold = inventory.reserve(drop, user)
    database.freeze_clock(hold.expires_at - MICROSECOND)
    with sessions(database, 2) as (a, b):
        a.begin()
        assert a.purchase(hold.id, user) == "ok"
        database.freeze_clock(hold.expires_at)
        answer = in_background(lambda: b.reserve(drop, user))
        wait_until_blocked(database, b, by=a)
        a.commit()
        assert answer.result(10)[0] == "ok"
    assert database.stock(drop) == (0, 1, 1)


def test_a_second_reserve_in_flight_waits_for_the_first_and_gives_its_hold(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=8), make_users(1)
    with sessions(database, 2) as (a, b):
        a.begin()
        hold = a.hold(drop, user)
        answer = in_background(lambda: b.reserve(drop, user))
        wait_until_blocked(database, b, by=a)
        a.commit()
        assert answer.result(10) == ("replayed", hold)
    assert database.stock(drop) == (7, 1, 0)


def test_a_reserve_that_waited_for_the_buyers_own_purchase_keeps_the_limit(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=8, max_per_user=1), make_users(1)
    with sessions(database, 2) as (a, b):
        a.begin()
        hold = a.hold(drop, user)
        assert a.purchase(hold, user) == "ok"
        answer = in_background(lambda: b.reserve(drop, user))
        wait_until_blocked(database, b, by=a)
        a.commit()
        assert answer.result(10) == ("limit_reached", None)
    assert database.stock(drop) == (7, 0, 1)


def test_a_buyer_who_meets_only_locked_stripes_asks_again(database, make_drop, make_users, monkeypatch):
    drop, (user,) = make_drop(stock=1), make_users(1)
    pauses = []
    with sessions(database, 1) as (other,):

        def pause(seconds):
            pauses.append(seconds)
            other.rollback()

        monkeypatch.setattr(inventory, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
        other.begin()
        other.lock_stripes(drop)
        assert inventory.reserve(drop, user).outcome == "ok"
    assert len(pauses) == 1
    assert database.stock(drop) == (0, 1, 0)
