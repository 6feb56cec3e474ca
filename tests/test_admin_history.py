"""The stock over time, as the shop's chart has it."""

import itertools
from collections.abc import Callable

import pytest

from lib import events, inventory, reports
from tests.support.database import Database

MakeDrop = Callable[..., int]
MakeUsers = Callable[[int], list[int]]


def buy(drop: int, user: int) -> None:
    inventory.purchase(inventory.reserve(drop, user).id, user)


def points(drop: int) -> list[tuple[int, int, int | None]]:
    """(units in all, on sale, sold) of each point of a drop's history."""
    return [(point.total_stock, point.available, point.sold) for point in reports.history(drop)]


def test_the_history_tells_the_stock_as_it_was(database: Database, make_drop: MakeDrop, make_users: MakeUsers) -> None:
    drop, users = make_drop(stock=4), make_users(3)
    assert points(drop) == [(4, 4, 0)]
    holds = []
    for user in users:
        database.shift_clock(5)
        holds.append(inventory.reserve(drop, user))
        events.deliver()
    database.shift_clock(5)
    inventory.purchase(holds[0].id, users[0])
    database.shift_clock(5)
    inventory.release(holds[1].id, users[1])
    events.deliver()
    database.shift_clock(5)
    inventory.restock(drop, 6)
    events.deliver()
    assert points(drop) == [(4, 4, 0), (4, 3, 0), (4, 2, 0), (4, 1, 0), (4, 1, 1), (4, 2, 1), (10, 8, 1)]
    times = [point.at for point in reports.history(drop)]
    assert times == sorted(times)


def test_the_history_keeps_one_point_a_second_at_most(
    database: Database, make_drop: MakeDrop, make_users: MakeUsers, configure: Callable[..., None]
) -> None:
    configure(STOCK_UPDATE_GAP_MS="0")
    drop, users = make_drop(stock=20), make_users(4)
    for user in users:
        database.shift_clock(0.4)
        inventory.reserve(drop, user)
        events.deliver()
    assert 2 <= len(points(drop)) <= 3


def test_an_old_drops_history_keeps_fewer_points(
    database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    """After 20,000 seconds a point has to be ten seconds younger than the one before."""
    drop, users = make_drop(stock=9, hold_seconds=86_400), make_users(3)
    for user, seconds in zip(users, (20_000, 4, 7), strict=True):
        database.shift_clock(seconds)
        inventory.reserve(drop, user)
        events.deliver()
    assert [available for _, available, _ in points(drop)] == [9, 8, 6]


def test_a_long_history_is_thinned_and_keeps_its_ends(database: Database, make_drop: MakeDrop) -> None:
    drop = make_drop(stock=5000)
    database.connection.execute(
        """
        insert into stock_samples (drop_id, sampled_at, total_stock, available_stock)
        select %s, now() + make_interval(secs => n), 5000, 5000 - n from generate_series(1, 4999) n
        """,
        [drop],
    )
    found = points(drop)
    assert reports.HISTORY_POINTS <= len(found) <= reports.HISTORY_POINTS + 1
    assert found[-1][1] == 1 and found[0][1] > 4985
    steps = [before[1] - after[1] for before, after in itertools.pairwise(found)]
    assert max(steps) - min(steps) <= 1


def test_sold_units_before_the_newest_purchases_are_unknown(
    database: Database, make_drop: MakeDrop, make_users: MakeUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop, users = make_drop(stock=4), make_users(4)
    for user in users:
        database.shift_clock(5)
        hold = inventory.reserve(drop, user)
        events.deliver()
        database.shift_clock(5)
        inventory.purchase(hold.id, user)
    # A point for each hold, and one for each purchase.
    assert points(drop) == [(4, 4, 0)] + [(4, 3 - n // 2, (n + 1) // 2) for n in range(8)]
    monkeypatch.setattr(reports, "HISTORY_PURCHASES", 2)
    assert [sold for *_, sold in points(drop)] == [None] * 4 + [3, 3, 4]


def test_without_a_channel_the_history_is_kept_as_well(database: Database, make_drop: MakeDrop, make_users: MakeUsers):
    drop, (user,) = make_drop(stock=2), make_users(1)
    database.shift_clock(2)
    inventory.reserve(drop, user)
    events.deliver()
    assert points(drop) == [(2, 2, 0), (2, 1, 0)]
    assert database.value("select count(*) from outbox") == 0
