"""The outbox as SQL keeps it: folding, versions, the message rate, leases and late acks, with the clock moved."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lib import inventory
from tests.support.database import Database
from tests.support.outbox import CLAIM, GAP_MS, LEASE_SECONDS, Event, Outbox, buy, reserve_if_possible, stocks

Make = Callable[..., Any]


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


@pytest.fixture
def quiet_drop(outbox: Outbox, make_drop: Make) -> Make:
    """quiet_drop(stock=5, ...): a drop whose creation has been announced long ago."""

    def make(stock: int = 5, **more: Any) -> int:
        drop = make_drop(stock, hold_seconds=3600, **more)
        outbox.settle()
        return drop

    return make


def test_all_marks_of_a_drop_become_one_update_with_the_stock_of_now(
    outbox: Outbox, quiet_drop: Make, make_users: Make
) -> None:
    drop = quiet_drop(5)
    for user in make_users(3):
        inventory.reserve(drop, user)

    assert stocks(outbox.claim()) == [(drop, 2)]
    assert outbox.waiting() == 1


def test_sizes_are_told_in_the_order_of_the_drop(outbox: Outbox, quiet_drop: Make, make_users: Make) -> None:
    drop = quiet_drop(sizes=[("9", 2), ("10", 3)])
    inventory.reserve(drop, make_users(1)[0], "10")
    data = outbox.claim()[0]["data"]

    assert data["availableStock"] == 4
    assert data["sizes"] == [{"size": "9", "availableStock": 2}, {"size": "10", "availableStock": 2}]


def test_each_event_of_a_drop_has_the_next_version(
    outbox: Outbox, quiet_drop: Make, make_users: Make, database: Database
) -> None:
    drop = quiet_drop(5)
    before = inventory.get_drop(drop).version
    inventory.reserve(drop, make_users(1)[0])
    inventory.update_drop(drop, {"state": "PAUSED"})

    found = outbox.claim()
    versions = [event["data"]["version"] for event in found]
    outbox.ack(found)
    inventory.restock(drop, 1)
    versions += [event["data"]["version"] for event in outbox.claim(gap_ms=0)]

    assert versions == [before + 1, before + 2, before + 3, before + 4]
    assert inventory.get_drop(drop).version == before + 4


def test_a_drop_sends_no_second_update_before_the_gap_is_over(
    outbox: Outbox, quiet_drop: Make, make_users: Make, database: Database
) -> None:
    drop = quiet_drop(5)
    first, second = make_users(2)
    inventory.reserve(drop, first)
    outbox.ack(outbox.claim(gap_ms=60_000))
    inventory.reserve(drop, second)

    early, next_in_ms = outbox.claim_and_wait(gap_ms=60_000)
    assert early == []
    assert next_in_ms is not None and 0 < next_in_ms <= 60_000

    database.shift_clock(60)
    assert stocks(outbox.claim(gap_ms=60_000)) == [(drop, 3)]


def test_sold_out_and_back_in_stock_do_not_wait_for_the_gap(
    outbox: Outbox, quiet_drop: Make, make_users: Make, database: Database
) -> None:
    drop = quiet_drop(2)
    first, last = make_users(2)
    inventory.reserve(drop, first)
    outbox.ack(outbox.claim(gap_ms=60_000))

    hold = inventory.reserve(drop, last)
    sold_out = outbox.claim(gap_ms=60_000)
    outbox.ack(sold_out)
    database.shift_clock(1)
    inventory.release(hold.id, last)

    assert stocks(sold_out) == [(drop, 0)]
    assert stocks(outbox.claim(gap_ms=60_000)) == [(drop, 1)]


def test_a_drop_that_flips_to_and_fro_is_told_early_once_a_second(
    outbox: Outbox, quiet_drop: Make, make_users: Make, database: Database
) -> None:
    drop = quiet_drop(1)
    (user,) = make_users(1)
    told = []
    for _ in range(5):
        hold = inventory.reserve(drop, user)
        told.append(stocks(outbox.claim(gap_ms=60_000)))
        outbox.drain()
        inventory.release(hold.id, user)

    assert told[0] == [(drop, 0)]
    assert told[1:] == [[], [], [], []]


def test_an_event_that_is_claimed_and_never_acked_comes_again_after_its_lease(
    outbox: Outbox, quiet_drop: Make, make_users: Make, database: Database
) -> None:
    drop = quiet_drop(5)
    buy(drop, make_users(2))
    first = outbox.claim()

    assert outbox.claim() == []
    database.shift_clock(LEASE_SECONDS + 0.1)
    again = outbox.claim()

    assert [event["data"] for event in again if event["kind"] == "purchase"] == [
        event["data"] for event in first if event["kind"] == "purchase"
    ]
    assert stocks(again) == stocks(first) == [(drop, 3)]


def test_a_late_ack_of_an_old_lease_does_not_delete_the_newer_fold(
    outbox: Outbox, quiet_drop: Make, make_users: Make, database: Database
) -> None:
    drop = quiet_drop(5)
    first, second = make_users(2)
    inventory.reserve(drop, first)
    old = outbox.claim()
    database.shift_clock(LEASE_SECONDS + 0.1)
    inventory.reserve(drop, second)
    outbox.claim()  # by a process that dies before it publishes

    outbox.ack(old)
    database.shift_clock(LEASE_SECONDS + 0.1)

    assert stocks(outbox.claim()) == [(drop, 3)]


def test_while_an_update_of_a_drop_is_on_its_way_no_second_one_is_handed_out(
    outbox: Outbox, quiet_drop: Make, make_users: Make
) -> None:
    drop = quiet_drop(5)
    first, second = make_users(2)
    inventory.reserve(drop, first)
    on_its_way = outbox.claim(gap_ms=0)
    inventory.reserve(drop, second)

    assert outbox.claim(gap_ms=0) == []
    outbox.ack(on_its_way)
    assert stocks(outbox.claim(gap_ms=0)) == [(drop, 3)]


def test_who_waits_for_an_update_on_its_way_asks_again_after_the_gap_and_not_all_the_time(
    outbox: Outbox, quiet_drop: Make, make_users: Make, database: Database
) -> None:
    drop = quiet_drop(5)
    first, second = make_users(2)
    inventory.reserve(drop, first)
    outbox.claim()
    inventory.reserve(drop, second)
    database.shift_clock(1)

    assert outbox.claim_and_wait() == ([], GAP_MS)


def test_two_claims_at_the_same_instant_lease_different_events(
    outbox: Outbox, quiet_drop: Make, make_users: Make, database: Database
) -> None:
    drop = quiet_drop(10)
    bought = buy(drop, make_users(4))
    with database.connect() as other, other.transaction():
        ((theirs, _),) = other.execute(CLAIM, [2, LEASE_SECONDS, GAP_MS]).fetchall()
        ours = outbox.claim()

    assert [event["data"]["purchaseId"] for event in theirs if event["kind"] == "purchase"] == bought[:2]
    assert [event["data"]["purchaseId"] for event in ours if event["kind"] == "purchase"] == bought[2:]
    assert stocks(theirs) == [(drop, 6)]
    assert stocks(ours) == []


def test_eight_deliverers_lease_each_of_300_purchases_once(
    outbox: Outbox, quiet_drop: Make, database: Database
) -> None:
    drop = quiet_drop(5)
    payload = "select %s, 'purchase', jsonb_build_object('purchaseId', n) from generate_series(1, 300) n"
    database.connection.execute(f"insert into outbox (drop_id, kind, payload) {payload}", [drop])

    def claim_all(_: int) -> list[int]:
        leased: list[int] = []
        next_in_ms: int | None = 0
        with database.connect() as connection:
            while next_in_ms is not None:
                ((found, next_in_ms),) = connection.execute(CLAIM, [7, 60, GAP_MS]).fetchall()
                leased += [event["data"]["purchaseId"] for event in found]
        return leased

    with ThreadPoolExecutor(8) as threads:
        leased = [number for part in threads.map(claim_all, range(8)) for number in part]

    assert sorted(leased) == list(range(1, 301))


def test_an_event_exists_only_once_its_transaction_has_committed(
    outbox: Outbox, quiet_drop: Make, make_users: Make, database: Database
) -> None:
    drop = quiet_drop(5)
    user, other_user = make_users(2)
    with database.connect() as other:
        with other.transaction(force_rollback=True):
            other.execute("select reserve(%s, %s, null)", [drop, other_user])
            assert outbox.claim_and_wait() == ([], None)
        with other.transaction():
            other.execute("select reserve(%s, %s, null)", [drop, user])
            assert outbox.claim_and_wait() == ([], None)

    assert stocks(outbox.claim()) == [(drop, 4)]


def test_folding_during_a_storm_leaves_the_last_update_with_the_true_stock(
    outbox: Outbox, quiet_drop: Make, make_users: Make, database: Database
) -> None:
    drop = quiet_drop(200)
    users = make_users(240)
    told: list[Event] = []
    done = threading.Event()

    def fold_until_done() -> None:
        with database.connect() as connection:
            last_round = False
            while not last_round:
                last_round = done.is_set()
                ((found, _),) = connection.execute(CLAIM, [100, LEASE_SECONDS, 0]).fetchall()
                told.extend(found)
                connection.execute("select ack_events(%s)", [[event["id"] for event in found]])

    folding = threading.Thread(target=fold_until_done)
    folding.start()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda user: reserve_if_possible(drop, user), users))
    done.set()
    folding.join()

    versions = [event["data"]["version"] for event in told]
    assert versions == sorted(set(versions))
    assert told[-1]["data"]["availableStock"] == database.stock(drop)[0] == 0
    assert outbox.waiting() == 0


def test_hot_drops_do_not_starve_one_that_waits_longer(
    outbox: Outbox, make_drop: Make, make_users: Make, database: Database
) -> None:
    drops = [make_drop(50, hold_seconds=3600) for _ in range(6)]
    outbox.settle()
    told = set()
    for user in make_users(3):
        for drop in drops:
            inventory.reserve(drop, user)
        found = outbox.claim(limit=2)
        told |= {drop for drop, _ in stocks(found)}
        outbox.ack(found)
        database.shift_clock(1)

    assert told == set(drops)


def test_a_late_ack_never_waits_for_who_delivers_again(
    outbox: Outbox, quiet_drop: Make, make_users: Make, database: Database
) -> None:
    """Nor can it deadlock with one that folds the same drops in another order."""
    drop = quiet_drop(5)
    buy(drop, make_users(2))
    old = outbox.claim()
    database.shift_clock(LEASE_SECONDS + 0.1)
    with database.connect() as other, other.transaction():
        ((again, _),) = other.execute(CLAIM, [100, LEASE_SECONDS, GAP_MS]).fetchall()
        assert len(again) == 3
        database.connection.execute("set lock_timeout = '100ms'")
        outbox.ack(old)

    assert outbox.waiting() == 3
