"""The promises of stock, each under the concurrency, the crashes and the retries that it is made for."""

from decimal import Decimal
from functools import partial

import psycopg
import pytest

from lib import errors, inventory
from tests.support.buyers import (
    CROWD,
    Session,
    all_at_once,
    connect_crowd,
    in_background,
    sessions,
    told,
    wait_until,
)


@pytest.fixture
def crowd(configure, database):
    """Lets many threads of this process reach the database at once."""
    configure(**CROWD)
    connect_crowd()


# 1. Never oversell.


def test_a_drop_of_one_and_200_buyers_gives_one_hold_and_199_sold_out(database, make_drop, make_users, crowd):
    drop, users = make_drop(stock=1), make_users(200)
    counts = told(all_at_once([partial(inventory.reserve, drop, user) for user in users]))
    assert counts == {"ok": 1, "sold_out": 199}
    assert database.stock(drop) == (0, 1, 0)
    assert database.value("select count(*) from reservations") == 1


def test_200_buyers_of_50_units_get_50_and_the_others_are_told_sold_out(database, make_drop, make_users, crowd):
    drop, users = make_drop(stock=50), make_users(200)
    counts = told(all_at_once([partial(inventory.reserve, drop, user) for user in users]))
    assert counts == {"ok": 50, "sold_out": 150}
    assert database.stock(drop) == (0, 50, 0)


def test_buyers_of_two_sizes_get_each_size_to_its_last_unit(database, make_drop, make_users, crowd):
    drop, users = make_drop(sizes=[("8", 10), ("9", 25)]), make_users(100)
    calls = [partial(inventory.reserve, drop, user, "89"[n % 2]) for n, user in enumerate(users)]
    assert told(all_at_once(calls)) == {"ok": 35, "sold_out": 65}
    assert (database.stock(drop, "8"), database.stock(drop, "9")) == ((0, 10, 0), (0, 25, 0))


def test_an_overdue_drop_is_sold_again_exactly_once(database, make_drop, make_users, crowd):
    drop, old, new = make_drop(stock=10), make_users(10), make_users(60)
    for user in old:
        inventory.reserve(drop, user)
    database.shift_clock(61)
    assert told(all_at_once([partial(inventory.reserve, drop, user) for user in new])) == {"ok": 10, "sold_out": 50}
    assert database.statuses(drop) == {"ACTIVE": 10, "EXPIRED": 10}
    assert database.stock(drop) == (0, 10, 0)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_buyer_who_does_everything_at_once_stays_within_the_limit(database, make_drop, make_users, crowd, limit):
    drop, (user,) = make_drop(stock=40, max_per_user=limit), make_users(1)

    def buy() -> inventory.Purchase:
        return inventory.purchase(inventory.reserve(drop, user).id, user)

    for _ in range(4):
        counts = told(all_at_once([buy] * 12))
        # A call may be given the hold that another has just turned into a purchase; that purchase is its answer.
        assert set(counts) <= {"ok", "replayed", "limit_reached"}
    assert database.stock(drop) == (40 - limit, 0, limit)


def test_a_crash_of_buyers_at_any_moment_loses_and_doubles_nothing(database, make_drop, make_users):
    drop, users = make_drop(stock=30), make_users(40)

    def shop(session: Session, mine: list[int]) -> None:
        while True:
            for user in mine:
                outcome, hold = session.reserve(drop, user)
                if outcome == "ok" and user % 3:
                    (session.purchase if user % 2 else session.release)(hold, user)

    with sessions(database, 8) as opened:
        crashes = [in_background(partial(shop, session, users[n::8])) for n, session in enumerate(opened)]
        kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity where pid = any (%s)"
        pids = [session.pid for session in opened]
        # Those in the middle of a call first, then all.
        wait_until(lambda: database.value(f"{kill} and state = 'active'", [pids]) > 1, "a crash within a call")
        database.value(kill, [pids])
        for crash in crashes:
            assert isinstance(crash.exception(30), psycopg.OperationalError)
    wait_until(lambda: database.value("select count(*) from pg_stat_activity where pid = any (%s)", [pids]) == 0, "end")
    database.assert_conserved()


# 2. Never lose a unit.


def test_purchase_release_and_sweep_of_the_same_holds_at_once_end_each_hold_once(
    database, make_drop, make_users, crowd
):
    drop, users = make_drop(stock=30), make_users(30)
    holds = [(inventory.reserve(drop, user).id, user) for user in users]
    database.shift_clock(30)
    # A third of the holds are overdue, a third near their end, a third good.
    database.connection.execute("update reservations set expires_at = clock() + (id % 3 - 1) * interval '50 ms'")
    calls = [partial(act, *hold) for hold in holds for act in (inventory.purchase, inventory.release)]
    calls += [partial(inventory.expire_due, 7)] * 10
    all_at_once(calls)
    database.shift_clock(2)
    while inventory.expire_due(100).expired:
        pass
    assert "ACTIVE" not in database.statuses(drop) and sum(database.statuses(drop).values()) == 30
    available, held, purchased = database.stock(drop)
    assert (available + purchased, held) == (30, 0)
    database.assert_conserved()


def test_release_posted_five_times_at_once_returns_one_unit(database, make_drop, make_users, crowd):
    drop, (user, other) = make_drop(stock=2), make_users(2)
    inventory.reserve(drop, other)
    hold = inventory.reserve(drop, user)
    assert told(all_at_once([partial(inventory.release, hold.id, user)] * 5)) == {"ok": 1, "replayed": 4}
    assert database.stock(drop) == (1, 1, 0)


def test_a_purchase_and_a_release_at_once_have_one_winner(database, make_drop, make_users, crowd):
    drop, users = make_drop(stock=20), make_users(20)
    holds = [(inventory.reserve(drop, user).id, user) for user in users]
    results = all_at_once([partial(act, *hold) for hold in holds for act in (inventory.purchase, inventory.release)])
    for bought, released in zip(results[::2], results[1::2], strict=True):
        assert sorted(told([bought, released])) == ["ok", "reservation_closed"]
    assert database.stock(drop)[1] == 0
    database.assert_conserved()


# 3. A purchase happens once.


def test_a_purchase_posted_20_times_at_once_gives_one_row_and_one_answer(database, make_drop, make_users, crowd):
    drop, (user,) = make_drop(), make_users(1)
    hold = inventory.reserve(drop, user)
    results = all_at_once([partial(inventory.purchase, hold.id, user)] * 20)
    assert told(results) == {"ok": 1, "replayed": 19}
    assert len({(row.id, row.created_at, row.price, str(row.drop_snapshot)) for row in results}) == 1
    assert database.stock(drop) == (4, 0, 1)
    assert database.value("select count(*) from outbox where kind = 'purchase'") == 1


def test_a_purchase_repeated_later_gives_the_first_answer_whatever_changed(database, make_drop, make_users):
    drop, (user, other) = make_drop(), make_users(2)
    hold = inventory.reserve(drop, user)
    first = inventory.purchase(hold.id, user)
    inventory.reserve(drop, other)
    inventory.update_drop(drop, {"price": "999.00"})
    inventory.update_drop(drop, {"state": "CANCELLED"})
    database.shift_clock(3600)
    again = inventory.purchase(hold.id, user)
    assert again.replayed
    kept = ("id", "reservation_id", "price", "currency", "created_at", "drop_snapshot")
    assert [getattr(again, name) for name in kept] == [getattr(first, name) for name in kept]


# 4. A hold is good until its deadline, and not a millisecond longer.


def test_with_no_cron_at_all_every_unit_is_sold_again_and_late_purchases_are_refused(database, make_drop, make_users):
    drop, users = make_drop(stock=3), make_users(9)
    for generation in range(3):
        holds = [(inventory.reserve(drop, user).id, user) for user in users[generation * 3 : generation * 3 + 3]]
        database.shift_clock(60)
    for hold, user in holds:
        with pytest.raises(errors.ReservationExpired):
            inventory.purchase(hold, user)
    assert database.statuses(drop) == {"EXPIRED": 6, "ACTIVE": 3}
    assert database.stock(drop) == (0, 3, 0)


def test_purchases_racing_the_sweep_at_the_deadline_agree_with_it(database, make_drop, make_users, crowd):
    drop, users = make_drop(stock=40), make_users(40)
    holds = [(inventory.reserve(drop, user).id, user) for user in users]
    database.connection.execute("update reservations set expires_at = clock() + interval '150 ms'")

    # Half of the buyers try in time, the others and the sweeps at the deadline.
    late = [hold for hold in holds if hold[0] % 2]

    def wait_for_deadline(hold: int, user: int) -> None:
        wait_until(lambda: inventory.get_reservation(hold, user).seconds_left == 0, "the deadline")

    def buy(hold: int, user: int) -> inventory.Purchase:
        if (hold, user) in late:
            wait_for_deadline(hold, user)
        return inventory.purchase(hold, user)

    def sweep_all() -> None:
        wait_for_deadline(*late[0])
        while inventory.expire_due(5).expired:
            pass

    results = all_at_once([*(partial(buy, *hold) for hold in holds), sweep_all, sweep_all])
    counts = told(results[: len(holds)])
    assert set(counts) <= {"ok", "reservation_expired"}
    bought = "purchases p join reservations r on r.id = p.reservation_id"
    too_late = f"select count(*) from {bought} where r.expires_at <= p.created_at"
    assert database.value(too_late) == 0
    assert database.stock(drop)[2] == counts["ok"]
    database.assert_conserved()


def test_re_reserving_up_to_the_deadline_does_not_move_it(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    first = inventory.reserve(drop, user)
    for seconds in (1, 20, 38.5):
        database.shift_clock(seconds)
        assert inventory.reserve(drop, user).expires_at == first.expires_at
    database.freeze_clock(first.expires_at)
    assert inventory.reserve(drop, user).id != first.id


# 5. A retry is safe.


def test_reserve_posted_20_times_at_once_gives_one_hold(database, make_drop, make_users, crowd):
    drop, (user,) = make_drop(stock=40), make_users(1)
    results = all_at_once([partial(inventory.reserve, drop, user)] * 20)
    assert told(results) == {"ok": 1, "replayed": 19}
    assert len({(hold.id, hold.expires_at) for hold in results}) == 1
    assert database.stock(drop) == (39, 1, 0)


def test_an_overdue_buyer_posting_20_times_at_once_gets_one_new_hold(database, make_drop, make_users, crowd):
    drop, (user,) = make_drop(stock=4), make_users(1)
    inventory.reserve(drop, user)
    database.shift_clock(61)
    assert told(all_at_once([partial(inventory.reserve, drop, user)] * 20)) == {"ok": 1, "replayed": 19}
    assert database.statuses(drop) == {"EXPIRED": 1, "ACTIVE": 1}
    assert database.stock(drop) == (3, 1, 0)


def test_a_key_posted_ten_times_at_once_makes_one_drop(database, crowd):
    call = partial(
        inventory.create_drop,
        name="Once",
        price=Decimal(1),
        sizes=[("", 5)],
        idempotency_key="k",
        request_hash="h",
    )
    results = all_at_once([call] * 10)
    assert {drop for drop, _ in results} == {database.value("select id from drops")}
    assert sorted(replayed for _, replayed in results) == [False] + [True] * 9
    database.assert_conserved()


def test_a_key_posted_ten_times_at_once_makes_one_user_and_no_conflict(database, crowd):
    call = partial(inventory.create_user, "ada", idempotency_key="k", request_hash="h")
    results = all_at_once([call] * 10)
    assert {user.id for user, _ in results} == {database.value("select id from users")}


def test_a_username_posted_ten_times_at_once_is_given_once(database, crowd):
    results = all_at_once([partial(inventory.create_user, "ada")] * 10)
    assert sum(isinstance(result, errors.UsernameTaken) for result in results) == 9
    assert database.value("select count(*) from users") == 1


# 7. A broken side channel never breaks a sale (the database's half).


def test_an_event_exists_exactly_if_its_transaction_committed(database, make_drop, make_users):
    drop, (first, second) = make_drop(), make_users(2)
    database.connection.execute("delete from outbox")
    with sessions(database, 1) as (session,):
        for user, end in ((first, session.rollback), (second, session.commit)):
            session.begin()
            session.purchase(session.hold(drop, user), user)
            assert database.value("select count(*) from outbox") == 0
            end()
    assert database.rows("select kind from outbox order by id") == [("stock",), ("purchase",)]
    assert database.value("select (payload ->> 'userId')::bigint from outbox where kind = 'purchase'") == second


def test_a_function_killed_while_publishing_leaves_its_events_to_the_next(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    inventory.purchase(inventory.reserve(drop, user).id, user)
    with sessions(database, 1) as (session,):
        claim = "select events, next_in_ms from claim_events(100, 5, 0)"
        first, _ = session.row(claim)
        assert {event["kind"] for event in first} == {"stock", "changed", "purchase"}
        assert session.row(claim)[0] == []
        database.shift_clock(5)
        again, _ = session.row(claim)
    assert {event["kind"] for event in again} == {"stock", "changed", "purchase"}
    assert database.value("select count(*) from outbox") == 3
