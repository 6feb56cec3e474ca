"""The sweep: expires what is due, delivers what is left, and no sale depends on it."""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from lib import audits, errors, inventory, realtime
from lib.records import NextAudit
from scheduled.reap import sweep
from tests.support.buyers import CROWD, all_at_once, in_background, sessions, wait_until

ROOT = Path(__file__).parent.parent


def _hold_all(drop, users):
    return [inventory.reserve(drop, user) for user in users]


@pytest.mark.parametrize("batch", [2, 3])  # the last batch is full, or it is not
def test_overdue_holds_are_expired_in_batches_until_none_is_left(database, make_drop, make_users, configure, batch):
    configure(SWEEP_BATCH=str(batch))
    drop, users = make_drop(stock=9), make_users(9)
    _hold_all(drop, users)
    database.shift_clock(61)
    swept = sweep(30)
    assert swept.expired == 9 and swept.sweeps >= 9 // batch + 1
    assert swept.next_due_at is None
    assert database.stock(drop) == (9, 0, 0)


def test_a_full_batch_says_that_more_may_be_due_now(database, make_drop, make_users):
    drop, users = make_drop(), make_users(3)
    _hold_all(drop, users)
    database.shift_clock(61)
    full, rest = inventory.expire_due(3), inventory.expire_due(3)
    assert (full.expired, full.next_due_at) == (3, full.server_time)
    assert (rest.expired, rest.next_due_at) == (0, None)


def test_an_idle_database_is_left_alone_at_once(database):
    swept = sweep(600)
    assert (swept.expired, swept.published, swept.sweeps, swept.next_due_at) == (0, 0, 1, None)


def test_a_sweep_ends_with_its_budget_and_tells_the_next_deadline(database, make_drop, make_users):
    drop, users = make_drop(), make_users(1)
    (hold,) = _hold_all(drop, users)
    swept = sweep(0.3)
    assert (swept.expired, swept.next_due_at) == (0, hold.expires_at)
    assert database.stock(drop) == (4, 1, 0)


def test_a_running_sweep_expires_each_hold_within_a_second_of_its_deadline(database, make_drop, make_users):
    drop, users = make_drop(hold_seconds=1), make_users(3)
    _hold_all(drop, users)
    swept = sweep(30)
    assert swept.expired == 3
    lateness = database.rows("select extract(epoch from closed_at - expires_at) from reservations")
    # Within a second, and one more for a machine that runs other tests beside.
    assert all(0 <= seconds < 2 for (seconds,) in lateness)


def test_a_sweep_that_sleeps_notices_a_shorter_hold_made_meanwhile(database, make_drop, make_users):
    long, short = make_drop(hold_seconds=600), make_drop(hold_seconds=1)
    first, second = make_users(2)
    inventory.reserve(long, first)
    sweeping = in_background(partial(sweep, 6))
    wait_until(lambda: database.value("select count(*) from outbox") == 0, "the sweep delivered and sleeps")
    inventory.reserve(short, second)
    wait_until(lambda: database.stock(short) == (5, 0, 0), "the short hold expired")
    assert not sweeping.done()
    assert sweeping.result(30).expired == 1


def test_two_sweeps_at_once_return_each_unit_once(database, make_drop, make_users, configure):
    configure(SWEEP_BATCH="50", **CROWD)
    drop, users = make_drop(stock=300), make_users(300)
    _hold_all(drop, users)
    database.shift_clock(61)
    results = all_at_once([partial(sweep, 30)] * 4)
    assert sum(swept.expired for swept in results) == 300
    assert database.stock(drop) == (300, 0, 0)
    assert database.statuses(drop) == {"EXPIRED": 300}


def test_no_sweep_for_a_day_is_harmless_and_the_late_one_clears_up(database, make_drop, make_users):
    drop, old, (new,) = make_drop(stock=8), make_users(8), make_users(1)  # two stripes of four
    _hold_all(drop, old)
    database.shift_clock(86_400)
    kept = inventory.reserve(drop, new)
    assert database.statuses(drop) == {"EXPIRED": 4, "ACTIVE": 5}
    swept = sweep(0)
    assert (swept.expired, swept.next_due_at) == (4, kept.expires_at)
    assert database.stock(drop) == (7, 1, 0)


def test_a_sweep_again_changes_nothing(database, make_drop, make_users):
    drop, users = make_drop(), make_users(2)
    _hold_all(drop, users)
    database.shift_clock(61)
    assert sweep(5).expired == 2
    assert sweep(5).expired == 0
    assert database.stock(drop) == (5, 0, 0)


def test_a_sweep_killed_before_its_commit_leaves_all_to_the_next(database, make_drop, make_users):
    drop, users = make_drop(), make_users(3)
    _hold_all(drop, users)
    database.shift_clock(61)
    with sessions(database, 1) as (session,):
        session.begin()
        assert session.expire_due() == 3
        database.value("select pg_terminate_backend(%s, 10000)", [session.pid])
    assert database.stock(drop) == (2, 3, 0)
    assert sweep(5).expired == 3
    assert database.stock(drop) == (5, 0, 0)


def test_a_sweep_takes_holds_of_drops_that_are_paused_cancelled_or_ended(database, make_drop, make_users):
    drops, (user,) = [make_drop() for _ in range(3)], make_users(1)
    for drop in drops:
        inventory.reserve(drop, user)
    inventory.update_drop(drops[0], {"state": "PAUSED"})
    inventory.update_drop(drops[1], {"state": "CANCELLED"})
    inventory.update_drop(drops[2], {"drop_end_time": "2999-01-01T00:00:00Z"})
    database.shift_clock(86_400 * 366_000)
    sweep(5)
    assert [database.stock(drop) for drop in drops] == [(5, 0, 0)] * 3


def test_a_purchase_and_a_live_hold_survive_every_sweep(database, make_drop, make_users):
    drop, (owner, holder) = make_drop(), make_users(2)
    inventory.purchase(inventory.reserve(drop, owner).id, owner)
    database.shift_clock(3600)
    inventory.reserve(drop, holder)
    sweep(0)
    assert database.statuses(drop) == {"PURCHASED": 1, "ACTIVE": 1}
    assert database.stock(drop) == (3, 1, 1)


def test_keys_are_forgotten_after_a_day_and_not_before(database, make_drop):
    drop = make_drop(stock=5)
    restock = partial(inventory.restock, drop, 5, idempotency_key="k", request_hash="h")
    restock()
    database.shift_clock(86_000)
    sweep(5)
    assert restock()[1] is True
    database.shift_clock(1000)
    sweep(5)
    assert restock()[1] is False
    assert database.stock(drop) == (15, 0, 0)


def test_a_sweep_gives_up_on_nothing_while_stripes_are_locked(database, make_drop, make_users):
    drop, users = make_drop(), make_users(2)
    _hold_all(drop, users)
    database.shift_clock(61)
    with sessions(database, 1) as (buyer,):
        buyer.begin()
        buyer.lock_stripes(drop)
        sweeping = in_background(partial(sweep, 30))
        wait_until(lambda: database.value("select count(*) from outbox") == 0, "a first pass is over")
        time.sleep(0.2)
        assert database.stock(drop) == (3, 2, 0)
        buyer.commit()
        assert sweeping.result(60).expired == 2
    assert database.stock(drop) == (5, 0, 0)


KILLED_AFTER_COMMIT = """
import os, sys
from lib import audits, errors, inventory, realtime
from lib.records import NextAudit
drop, user = int(sys.argv[1]), int(sys.argv[2])
inventory.purchase(inventory.reserve(drop, user).id, user)
os._exit(9)
"""


def test_a_function_killed_after_its_commit_leaves_sale_and_events_to_the_sweep(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    database.connection.execute("delete from outbox")
    command = [sys.executable, "-c", KILLED_AFTER_COMMIT, str(drop), str(user)]
    assert subprocess.run(command, cwd=ROOT, timeout=60).returncode == 9
    assert database.stock(drop) == (4, 0, 1)
    assert database.rows("select kind from outbox order by id") == [("stock",), ("purchase",)]
    assert sweep(30.0).published == 2
    assert database.value("select count(*) from outbox") == 0


def test_a_moment_without_a_database_does_not_end_a_sweep(database, make_drop, make_users, monkeypatch):
    """The next one may be a minute away."""
    drop, users = make_drop(hold_seconds=1), make_users(3)
    _hold_all(drop, users)
    expire_due, looks = inventory.expire_due, []

    def sometimes(limit):
        looks.append(limit)
        if len(looks) in (1, 3):
            raise errors.DatabaseUnavailable
        return expire_due(limit)

    monkeypatch.setattr(inventory, "expire_due", sometimes)
    assert sweep(30).expired == 3
    assert len(looks) > 3


def test_a_sweep_whose_last_look_failed_says_so(database, monkeypatch):
    def never(limit):
        raise errors.Busy

    monkeypatch.setattr(inventory, "expire_due", never)
    with pytest.raises(errors.Busy):
        sweep(0)


@pytest.mark.parametrize("chore", ["forget_keys", "forget_reservations"])
def test_no_hold_waits_for_chores(database, make_drop, make_users, configure, monkeypatch, chore):
    configure(RETENTION_DAYS="30")
    drop, users = make_drop(), make_users(3)
    _hold_all(drop, users)
    database.shift_clock(61)

    def fails(*_):
        assert database.statuses(drop) == {"EXPIRED": 3}, "holds end first"
        raise errors.Busy

    monkeypatch.setattr(inventory, chore, fails)
    assert sweep(0).expired == 3


def test_neither_a_slow_channel_nor_a_long_audit_makes_a_hold_end_late(
    channel, database, make_drop, make_users, monkeypatch
):
    drop, users = make_drop(hold_seconds=2), make_users(1)
    _hold_all(drop, users)

    def take_long(*_):
        time.sleep(6)

    def audit_long():
        take_long()
        return NextAudit(drop_id=None, findings=None, took_ms=None)

    monkeypatch.setattr(realtime, "publish", take_long)
    monkeypatch.setattr(audits, "audit_next", audit_long)
    assert sweep(4).expired == 1
    ((lateness,),) = database.rows("select extract(epoch from closed_at - expires_at) from reservations")
    # Within a second, and one more for a machine that runs other tests beside: both jobs last longer.
    assert 0 <= lateness < 2


def test_old_keys_are_forgotten_by_the_ten_thousand(database):
    """However many there are, a call ends in its time."""
    database.connection.execute(
        "insert into idempotency_keys (operation, key, request_hash, result_id, created_at)"
        " select 'restock', n::text, '', 1, clock() - interval '2 days' from generate_series(1, 10005) n"
    )
    inventory.forget_keys()
    assert database.value("select count(*) from idempotency_keys") == 5
    inventory.forget_keys()
    assert database.value("select count(*) from idempotency_keys") == 0
