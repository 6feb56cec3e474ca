"""What a buyer can do with a hold, and what each call answers."""

from datetime import UTC, datetime, timedelta

import pytest

from lib import errors, inventory
from tests.support.buyers import sessions

SECOND = timedelta(seconds=1)


def test_a_hold_takes_one_unit_for_hold_seconds_by_the_databases_clock(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=3, hold_seconds=45), make_users(1)
    hold = inventory.reserve(drop, user)
    assert (hold.outcome, hold.status, hold.user_id, hold.drop_id, hold.size) == ("ok", "ACTIVE", user, drop, "")
    assert hold.expires_at - hold.created_at == 45 * SECOND
    assert database.stock(drop) == (2, 1, 0)


def test_a_second_reserve_of_the_same_buyer_gives_the_first_hold(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=3), make_users(1)
    first = inventory.reserve(drop, user)
    again = inventory.reserve(drop, user)
    assert again.replayed and again.id == first.id
    assert database.stock(drop) == (2, 1, 0)


def test_a_purchase_takes_the_held_unit_for_good(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=3), make_users(1)
    hold = inventory.reserve(drop, user)
    bought = inventory.purchase(hold.id, user)
    assert (bought.reservation_id, bought.user_id, bought.drop_id, bought.currency) == (hold.id, user, drop, "USD")
    assert bought.price == bought.drop_snapshot["price"] == 200
    assert database.stock(drop) == (2, 0, 1)
    assert database.statuses(drop) == {"PURCHASED": 1}


def test_a_released_unit_goes_to_another_buyer(database, make_drop, make_users):
    drop, (first, second) = make_drop(stock=1), make_users(2)
    hold = inventory.reserve(drop, first)
    assert inventory.release(hold.id, first).status == "RELEASED"
    assert inventory.reserve(drop, second).outcome == "ok"
    assert database.stock(drop) == (0, 1, 0)


def test_a_buyer_can_hold_again_after_release_and_after_purchase(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=3), make_users(1)
    inventory.release(inventory.reserve(drop, user).id, user)
    inventory.purchase(inventory.reserve(drop, user).id, user)
    assert inventory.reserve(drop, user).outcome == "ok"
    assert database.stock(drop) == (1, 1, 1)


def test_the_last_unit_is_sold_and_the_next_buyer_is_told_sold_out(database, make_drop, make_users):
    drop, (first, second) = make_drop(stock=1), make_users(2)
    inventory.reserve(drop, first)
    with pytest.raises(errors.SoldOut):
        inventory.reserve(drop, second)
    assert database.stock(drop) == (0, 1, 0)


def test_a_buyers_own_overdue_hold_makes_room_for_a_new_one(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=1), make_users(1)
    old = inventory.reserve(drop, user)
    database.shift_clock(61)
    new = inventory.reserve(drop, user)
    assert new.outcome == "ok" and new.id != old.id
    assert database.statuses(drop) == {"EXPIRED": 1, "ACTIVE": 1}
    assert database.stock(drop) == (0, 1, 0)


def test_an_expired_unit_goes_to_the_next_who_asks_with_no_sweep(database, make_drop, make_users):
    drop, (first, second) = make_drop(stock=1), make_users(2)
    old = inventory.reserve(drop, first)
    database.shift_clock(60)
    new = inventory.reserve(drop, second)
    assert new.outcome == "ok"
    assert database.rows("select id, status from reservations order by id") == [(old.id, "EXPIRED"), (new.id, "ACTIVE")]
    assert database.stock(drop) == (0, 1, 0)


@pytest.mark.parametrize("call", [inventory.purchase, inventory.release])
def test_a_hold_is_good_one_microsecond_before_its_deadline(database, make_drop, make_users, call):
    drop, (user,) = make_drop(), make_users(1)
    hold = inventory.reserve(drop, user)
    database.freeze_clock(hold.expires_at - timedelta(microseconds=1))
    assert call(hold.id, user).outcome == "ok"


@pytest.mark.parametrize("call", [inventory.purchase, inventory.release])
def test_a_hold_is_not_good_at_its_deadline(database, make_drop, make_users, call):
    drop, (user,) = make_drop(), make_users(1)
    hold = inventory.reserve(drop, user)
    database.freeze_clock(hold.expires_at)
    with pytest.raises(errors.ReservationExpired):
        call(hold.id, user)
    assert database.stock(drop) == (4, 1, 0)


def test_a_unit_is_free_for_others_at_the_deadline_and_not_before(database, make_drop, make_users):
    drop, (first, second) = make_drop(stock=1), make_users(2)
    hold = inventory.reserve(drop, first)
    database.freeze_clock(hold.expires_at - timedelta(microseconds=1))
    with pytest.raises(errors.SoldOut):
        inventory.reserve(drop, second)
    database.freeze_clock(hold.expires_at)
    assert inventory.reserve(drop, second).outcome == "ok"


def test_a_late_purchase_stays_refused_when_the_unit_was_never_swept(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    hold = inventory.reserve(drop, user)
    database.shift_clock(86_400)
    with pytest.raises(errors.ReservationExpired):
        inventory.purchase(hold.id, user)
    assert database.value("select count(*) from purchases") == 0
    assert inventory.get_reservation(hold.id, user).status == "EXPIRED"


@pytest.mark.parametrize("call", [inventory.purchase, inventory.release, inventory.get_reservation])
def test_nobody_touches_the_hold_of_another(database, make_drop, make_users, call):
    drop, (owner, other) = make_drop(), make_users(2)
    hold = inventory.reserve(drop, owner)
    with pytest.raises(errors.NotOwner):
        call(hold.id, other)
    assert database.statuses(drop) == {"ACTIVE": 1}


@pytest.mark.parametrize("call", [inventory.purchase, inventory.release, inventory.get_reservation])
def test_an_unknown_reservation_is_told(database, make_users, call):
    with pytest.raises(errors.ReservationNotFound):
        call(987_654, make_users(1)[0])


def test_a_released_hold_cannot_be_bought_nor_a_bought_one_released(database, make_drop, make_users):
    drop, (first, second) = make_drop(), make_users(2)
    released, bought = inventory.reserve(drop, first), inventory.reserve(drop, second)
    inventory.release(released.id, first)
    inventory.purchase(bought.id, second)
    with pytest.raises(errors.ReservationClosed):
        inventory.purchase(released.id, first)
    with pytest.raises(errors.ReservationClosed):
        inventory.release(bought.id, second)
    assert database.stock(drop) == (4, 0, 1)


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_reserve_before_the_start_is_refused_with_the_time_left(database, make_drop, make_users):
    drop, (user,) = make_drop(start=_in(90)), make_users(1)
    with pytest.raises(errors.DropNotStarted) as refused:
        inventory.reserve(drop, user)
    assert 60 < refused.value.retry_after_seconds <= 90
    database.shift_clock(90)
    assert inventory.reserve(drop, user).outcome == "ok"


def test_reserve_after_the_end_is_refused_and_a_hold_remains_good(database, make_drop, make_users):
    drop, (early, late) = make_drop(end=_in(30)), make_users(2)
    hold = inventory.reserve(drop, early)
    database.shift_clock(30)
    with pytest.raises(errors.DropEnded):
        inventory.reserve(drop, late)
    assert inventory.purchase(hold.id, early).outcome == "ok"


def test_a_paused_drop_gives_no_new_holds_and_honors_those_given(database, make_drop, make_users):
    drop, (early, late) = make_drop(), make_users(2)
    hold = inventory.reserve(drop, early)
    inventory.update_drop(drop, {"state": "PAUSED"})
    with pytest.raises(errors.DropPaused):
        inventory.reserve(drop, late)
    assert inventory.reserve(drop, early).replayed
    assert inventory.purchase(hold.id, early).outcome == "ok"
    inventory.update_drop(drop, {"state": "OPEN"})
    assert inventory.reserve(drop, late).outcome == "ok"


def test_a_cancelled_drop_gives_neither_holds_nor_purchases(database, make_drop, make_users):
    drop, (early, late) = make_drop(), make_users(2)
    hold = inventory.reserve(drop, early)
    inventory.update_drop(drop, {"state": "CANCELLED"})
    with pytest.raises(errors.DropCancelled):
        inventory.reserve(drop, late)
    with pytest.raises(errors.DropCancelled):
        inventory.purchase(hold.id, early)
    assert inventory.release(hold.id, early).status == "RELEASED"
    assert database.stock(drop) == (5, 0, 0)


def test_who_holds_a_unit_of_a_cancelled_drop_is_told_so_and_not_given_the_hold_again(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    hold = inventory.reserve(drop, user)
    inventory.update_drop(drop, {"state": "CANCELLED"})
    with pytest.raises(errors.DropCancelled):
        inventory.reserve(drop, user)
    assert inventory.get_reservation(hold.id, user).status == "ACTIVE"


def test_an_unknown_drop_or_user_is_told_and_changes_nothing(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    with pytest.raises(errors.DropNotFound):
        inventory.reserve(drop + 1, user)
    with pytest.raises(errors.UserNotFound):
        inventory.reserve(drop, user + 1)
    assert database.stock(drop) == (5, 0, 0)


def test_a_drop_with_sizes_wants_one_of_them(database, make_drop, make_users):
    drop, (user,) = make_drop(sizes=[("8", 2), ("9", 1)]), make_users(1)
    with pytest.raises(errors.SizeRequired):
        inventory.reserve(drop, user)
    with pytest.raises(errors.UnknownSize):
        inventory.reserve(drop, user, "10")
    assert inventory.reserve(drop, user, "9").size == "9"
    assert (database.stock(drop, "8"), database.stock(drop, "9")) == ((2, 0, 0), (0, 1, 0))


def test_a_drop_without_sizes_knows_no_size(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    with pytest.raises(errors.UnknownSize):
        inventory.reserve(drop, user, "8")
    assert database.stock(drop) == (5, 0, 0)


def test_one_size_sold_out_leaves_the_other_on_sale(database, make_drop, make_users):
    drop, (a, b, c) = make_drop(sizes=[("8", 1), ("9", 1)]), make_users(3)
    inventory.reserve(drop, a, "8")
    with pytest.raises(errors.SoldOut):
        inventory.reserve(drop, b, "8")
    assert inventory.reserve(drop, c, "9").outcome == "ok"


def test_an_overdue_hold_of_one_size_does_not_make_the_other_available(database, make_drop, make_users):
    drop, (a, b, c) = make_drop(sizes=[("8", 1), ("9", 1)], hold_seconds=60), make_users(3)
    inventory.reserve(drop, a, "8")
    inventory.purchase(inventory.reserve(drop, b, "9").id, b)
    database.shift_clock(61)
    with pytest.raises(errors.SoldOut):
        inventory.reserve(drop, c, "9")
    assert database.stock(drop, "8") == (0, 1, 0)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_buyer_gets_no_more_than_max_per_user(database, make_drop, make_users, limit):
    drop, (user,) = make_drop(max_per_user=limit), make_users(1)
    for _ in range(limit):
        inventory.purchase(inventory.reserve(drop, user).id, user)
    with pytest.raises(errors.LimitReached):
        inventory.reserve(drop, user)
    assert database.stock(drop) == (5 - limit, 0, limit)


def test_released_and_expired_holds_do_not_count_toward_the_limit(database, make_drop, make_users):
    drop, (user,) = make_drop(max_per_user=1), make_users(1)
    inventory.release(inventory.reserve(drop, user).id, user)
    inventory.reserve(drop, user)
    database.shift_clock(61)
    assert inventory.purchase(inventory.reserve(drop, user).id, user).outcome == "ok"


def test_a_drop_of_a_million_units_works(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=1_000_000), make_users(1)
    hold = inventory.reserve(drop, user)
    assert inventory.restock(drop, -999_999)[0].available_stock == 0
    inventory.release(hold.id, user)
    assert inventory.restock(drop, 999_999)[0].available_stock == 1_000_000
    database.assert_conserved()


def test_a_refusal_raises_nothing_in_postgres(database, make_drop, make_users):
    drop, (first, second) = make_drop(stock=1), make_users(2)
    with sessions(database, 1) as (session,):
        session.begin()
        held = session.hold(drop, first)
        answers = [
            session.reserve(drop, second)[0],
            session.reserve(drop + 1, second)[0],
            session.purchase(held, second),
            session.release(held + 1, first),
        ]
        session.commit()  # an error inside would have made this a rollback
    assert answers == ["sold_out", "drop_not_found", "not_owner", "reservation_not_found"]
    assert database.stock(drop) == (0, 1, 0)
