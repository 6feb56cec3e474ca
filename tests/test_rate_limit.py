"""The rate limit on holds: each buyer in each drop, counted from rows that are there anyway for who would write."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import httpx2
import pytest

from lib import errors, inventory
from tests.support.api import problem
from tests.support.buyers import CROWD, all_at_once, never_waits, sessions, told
from tests.support.database import Database

Make = Callable[..., int]
MakeUsers = Callable[[int], list[int]]
LIMIT, WINDOW_SECONDS = 3, 60


@pytest.fixture(autouse=True)
def limited(database: Database, configure: Callable[..., None]) -> None:
    configure(RESERVE_RATE_LIMIT=str(LIMIT), RESERVE_RATE_WINDOW_SECONDS=str(WINDOW_SECONDS))


def hold_and_release(drop: int, user: int, times: int = LIMIT) -> None:
    for _ in range(times):
        inventory.release(inventory.reserve(drop, user).id, user)


def test_one_more_hold_than_the_limit_is_refused_and_takes_no_unit(
    database: Database, make_drop: Make, make_users: MakeUsers
) -> None:
    drop, (user,) = make_drop(5), make_users(1)
    hold_and_release(drop, user)
    with pytest.raises(errors.RateLimited):
        inventory.reserve(drop, user)
    assert database.statuses(drop) == {"RELEASED": LIMIT}
    assert database.stock(drop) == (5, 0, 0)


def test_the_answer_is_a_429_that_says_when_to_come_again_and_keeps_its_word(
    client: httpx2.Client, database: Database, make_drop: Make, make_users: MakeUsers
) -> None:
    drop, (user,) = make_drop(5), make_users(1)
    start = database.value("select clock()")
    for second in (0, 10, 20):
        database.freeze_clock(start + timedelta(seconds=second))
        hold_and_release(drop, user, 1)
    database.freeze_clock(start + timedelta(seconds=30.5))
    answer = client.post(f"/api/reserve/{drop}", json={"userId": user})
    problem(answer, 429, "rate_limited")
    assert answer.headers["retry-after"] == "30"  # the first of the three is 60 s old in 29.5 s
    database.freeze_clock(start + timedelta(seconds=60.5))
    assert client.post(f"/api/reserve/{drop}", json={"userId": user}).status_code == 201


def test_a_hold_leaves_the_window_to_the_microsecond(
    database: Database, make_drop: Make, make_users: MakeUsers
) -> None:
    drop, (user,) = make_drop(5), make_users(1)
    start = database.value("select clock()")
    database.freeze_clock(start)
    hold_and_release(drop, user)
    database.freeze_clock(start + timedelta(seconds=WINDOW_SECONDS, microseconds=-1))
    with pytest.raises(errors.RateLimited) as refused:
        inventory.reserve(drop, user)
    assert refused.value.retry_after_seconds == 1
    database.freeze_clock(start + timedelta(seconds=WINDOW_SECONDS))
    assert inventory.reserve(drop, user).outcome == "ok"


@pytest.mark.parametrize("units", [5, 100])
def test_a_refusal_takes_no_lock_and_writes_nothing(
    database: Database, make_drop: Make, make_users: MakeUsers, units: int
) -> None:
    drop, (user,) = make_drop(units), make_users(1)
    hold_and_release(drop, user)
    with sessions(database, 2) as (locker, session):
        locker.begin()
        locker.lock_stripes(drop)
        session.begin()
        query = "select outcome, (hold).id from reserve(%s, %s, null, %s, %s)"
        # Every stripe is locked: it is refused nevertheless, before it tries one, and is not told to try again at once.
        assert never_waits(session).row(query, drop, user, LIMIT, WINDOW_SECONDS) == ("rate_limited", None)
        assert session.row("select pg_current_xact_id_if_assigned() is null") == (True,)


def test_a_live_hold_is_given_again_however_often(database: Database, make_drop: Make, make_users: MakeUsers) -> None:
    drop, (user,) = make_drop(5), make_users(1)
    hold_and_release(drop, user, LIMIT - 1)
    hold = inventory.reserve(drop, user)
    for _ in range(3 * LIMIT):
        again = inventory.reserve(drop, user)
        assert again.replayed and again.id == hold.id
    assert inventory.purchase(hold.id, user).outcome == "ok"


def test_sold_out_answers_do_not_count_and_are_told_to_who_is_over_the_limit_too(
    database: Database, make_drop: Make, make_users: MakeUsers
) -> None:
    drop, (owner, user, busy) = make_drop(1), make_users(3)
    hold_and_release(drop, busy)
    hold = inventory.reserve(drop, owner)
    for _ in range(3 * LIMIT):
        with pytest.raises(errors.SoldOut):
            inventory.reserve(drop, user)
    with pytest.raises(errors.SoldOut):
        inventory.reserve(drop, busy)
    inventory.release(hold.id, owner)
    assert inventory.reserve(drop, user).outcome == "ok"


def test_a_sold_out_answer_does_not_even_look_at_the_limit(
    database: Database, make_drop: Make, make_users: MakeUsers
) -> None:
    drop, (owner, user) = make_drop(1), make_users(2)
    inventory.purchase(inventory.reserve(drop, owner).id, owner)
    source = database.value("select pg_get_functiondef('attempt_allowed_at'::regproc)")
    database.connection.execute(source.replace("begin\n", "begin\nraise exception 'it looked';\n", 1))
    with pytest.raises(errors.SoldOut):
        inventory.reserve(drop, user)


@pytest.mark.parametrize("end", ["released", "expired", "purchased"])
def test_a_hold_counts_however_it_ended(database: Database, make_drop: Make, make_users: MakeUsers, end: str) -> None:
    drop, (user,) = make_drop(20, hold_seconds=1), make_users(1)
    for _ in range(LIMIT):
        hold = inventory.reserve(drop, user)
        if end == "released":
            inventory.release(hold.id, user)
        elif end == "purchased":
            inventory.purchase(hold.id, user)
        else:
            database.shift_clock(1)  # the next reserve ends it; nobody sweeps
    with pytest.raises(errors.RateLimited):
        inventory.reserve(drop, user)


def test_who_takes_over_an_overdue_unit_is_limited_too(
    database: Database, make_drop: Make, make_users: MakeUsers
) -> None:
    drop, (old, user) = make_drop(1, hold_seconds=10), make_users(2)
    hold_and_release(drop, user)
    hold = inventory.reserve(drop, old)
    database.shift_clock(10)
    with pytest.raises(errors.RateLimited):
        inventory.reserve(drop, user)
    assert database.rows("select status from reservations where id = %s", [hold.id]) == [("ACTIVE",)]


def test_other_drops_and_other_buyers_are_not_affected(
    database: Database, make_drop: Make, make_users: MakeUsers
) -> None:
    drop, other_drop, (user, other) = make_drop(5), make_drop(5), make_users(2)
    hold_and_release(drop, user)
    assert inventory.reserve(other_drop, user).outcome == "ok"
    assert inventory.reserve(drop, other).outcome == "ok"


def test_zero_is_no_limit(
    database: Database, make_drop: Make, make_users: MakeUsers, configure: Callable[..., None]
) -> None:
    configure(RESERVE_RATE_LIMIT="0")
    drop, (user,) = make_drop(5), make_users(1)
    hold_and_release(drop, user, 70)
    assert inventory.reserve(drop, user).outcome == "ok"


def test_functions_of_the_version_before_which_give_no_limit_have_none(
    database: Database, make_drop: Make, make_users: MakeUsers
) -> None:
    drop, (user,) = make_drop(5), make_users(1)
    hold_and_release(drop, user)
    with sessions(database, 1) as (session,):
        assert session.row("select outcome from reserve(%s, %s, null)", drop, user) == ("ok",)


def test_a_buyer_who_posts_twenty_times_at_once_gets_no_more_than_one_hold_beyond_what_was_under_way(
    database: Database, make_drop: Make, make_users: MakeUsers, configure: Callable[..., None]
) -> None:
    configure(**CROWD)
    drop, (user,) = make_drop(50), make_users(1)
    hold_and_release(drop, user, LIMIT - 1)
    counts = told(all_at_once([partial(inventory.reserve, drop, user)] * 20))
    assert counts["ok"] == 1 and set(counts) <= {"ok", "replayed", "busy"}
    (held,) = database.rows("select id from reservations where status = 'ACTIVE'")
    inventory.release(held[0], user)
    assert told(all_at_once([partial(inventory.reserve, drop, user)] * 20)) == {"rate_limited": 20}
    database.assert_conserved()


def test_counting_looks_at_no_more_rows_than_the_limit(
    database: Database, make_drop: Make, make_users: MakeUsers
) -> None:
    """However many holds a buyer has ended, and whatever Postgres takes the table for."""
    drop, (user,) = make_drop(5), make_users(1)
    database.connection.execute(
        """
        insert into reservations (user_id, drop_id, size, stripe, status, expires_at, created_at, closed_at)
        select %s, %s, '', 0, 'RELEASED', clock() + interval '1 min', clock(), clock() from generate_series(1, 20000)
        """,
        [user, drop],
    )
    query = "explain (analyze, buffers, format json) select outcome from reserve(%s, %s, null, %s, %s)"
    with sessions(database, 1) as (session,):
        for _ in range(2):  # until its plans are made
            session.row("select outcome from reserve(%s, %s, null, %s, %s)", drop, user, LIMIT, WINDOW_SECONDS)
        plan = session.row(query, drop, user, LIMIT, WINDOW_SECONDS)[0][0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 300
    with pytest.raises(errors.RateLimited):
        inventory.reserve(drop, user)
