"""The audit: silent while everything is right, whatever goes on; heard by the admin, the sweep and health if not."""

import os
import subprocess
import sys
import threading
from functools import partial

import pytest

from dev.npm import ROOT
from lib import audits, inventory
from scheduled.reap import sweep
from tests.support.api import problem
from tests.support.buyers import in_background, sessions
from tests.support.outbox import Outbox
from tests.test_contention import Shopper

STORM_CONNECTIONS = 8
AUDITS_IN_THE_STORM = 60
DAMAGE = "update stock_stripes set available = available + 1 where drop_id = %s and stripe = 0"
MEND = "update stock_stripes set available = available - 1 where drop_id = %s and stripe = 0"


def _audited(database, drop) -> int:
    """How many audits of a drop are on record: 0 or 1."""
    return database.value("select count(*) from drop_audits where drop_id = %s", [drop])


def _later(database) -> None:
    """A drop may be audited again, and no event looks old."""
    Outbox(database).drain()
    database.shift_clock(61)


@pytest.mark.slow
@pytest.mark.xdist_group("heavy")
def test_sales_that_go_on_meanwhile_are_never_taken_for_damage(database, make_drop, make_users):
    drops = [(make_drop(stock=40, hold_seconds=1), None), (make_drop(stock=9, hold_seconds=1, max_per_user=2), None)]
    sized = make_drop(sizes=[("8", 20), ("9", 3)], hold_seconds=1)
    drops += [(sized, "8"), (sized, "9")]
    users = make_users(STORM_CONNECTIONS * 4)
    stop = threading.Event()
    outbox = Outbox(database)
    with sessions(database, STORM_CONNECTIONS, pooled=True) as opened:
        shoppers = [Shopper(session, drops, users[n // 2 * 8 : n // 2 * 8 + 8], n) for n, session in enumerate(opened)]
        runs = [in_background(partial(shopper.run, stop)) for shopper in shoppers]
        before = database.value("select count(*) from reservations")
        for number in range(AUDITS_IN_THE_STORM):
            drop = drops[number % len(drops)][0]
            assert audits.audit_rows(drop, 30) == []
            outbox.ack(outbox.claim())
        after = database.value("select count(*) from reservations")
        stop.set()
        told = [run.result(30) for run in runs]
    assert after > before + AUDITS_IN_THE_STORM, "the storm stood still"
    assert sum(counts["purchase ok"] for counts in told) > 0


def test_a_limit_that_was_lowered_later_is_no_finding(database, make_drop, make_users):
    drop, (user,) = make_drop(max_per_user=3), make_users(1)
    for _ in range(3):
        inventory.purchase(inventory.reserve(drop, user).id, user)
    inventory.update_drop(drop, {"max_per_user": 1})
    assert audits.audit_rows(drop, 30) == []
    inventory.update_drop(drop, {"max_per_user": None})
    assert database.value("select highest_max_per_user from drops where id = %s", [drop]) is None


def test_the_admin_is_told_what_is_wrong_with_a_drop(client, database, make_drop):
    drop = make_drop(stock=5)
    clean = client.get(f"/api/drops/{drop}/audit")
    assert (clean.status_code, clean.json()["ok"], clean.json()["findings"]) == (200, True, [])
    database.connection.execute(DAMAGE, [drop])
    damaged = client.get(f"/api/drops/{drop}/audit").json()
    assert (damaged["dropId"], damaged["ok"]) == (drop, False)
    assert [found["rule"] for found in damaged["findings"]] == ["units_not_conserved", "viewers_not_told"]
    assert damaged["findings"][0] == {
        "rule": "units_not_conserved",
        "table": "drop_sizes",
        "id": f"{drop}/",
        "detail": "total 5, but available 6 + held 0 + purchased 0 = 6",
    }
    problem(client.get("/api/drops/999/audit"), 404, "drop_not_found")


def test_an_audit_is_for_the_admin(client, database, make_drop, configure):
    drop = make_drop()
    configure(ADMIN_TOKEN="let me in")
    problem(client.get(f"/api/drops/{drop}/audit"), 401, "unauthorized")
    answer = client.get(f"/api/drops/{drop}/audit", headers={"Authorization": "Bearer let me in"})
    assert answer.status_code == 200


def test_the_sweep_audits_what_changed_and_nothing_else(database, make_drop, make_users):
    (user,) = make_users(1)
    changed, still = make_drop(), make_drop()
    sweep(0)
    sweep(0)
    assert (_audited(database, changed), _audited(database, still)) == (1, 1)
    database.connection.execute("update drop_audits set took_ms = -1")
    _later(database)
    inventory.purchase(inventory.reserve(changed, user).id, user)
    for _ in range(3):
        sweep(0)
    again = dict(database.rows("select drop_id, took_ms >= 0 from drop_audits"))
    assert again == {changed: True, still: False}


def test_a_wrong_count_makes_the_sweep_look_for_the_row(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    bought = inventory.purchase(inventory.reserve(drop, user).id, user)
    Outbox(database).drain()
    database.connection.execute("delete from purchases")
    sweep(0)
    findings = database.value("select findings from drop_audits where drop_id = %s", [drop])
    assert [(found["rule"], found["id"]) for found in findings] == [
        ("hold_without_purchase", str(bought.reservation_id)),
        ("units_not_conserved", f"{drop}/"),
    ]


def test_a_purchase_alone_is_a_change(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    hold = inventory.reserve(drop, user)
    Outbox(database).drain()
    sweep(0)
    database.connection.execute("update drop_audits set next_at = '-infinity', took_ms = -1")
    version = "select version from drop_feeds"
    before = database.value(version)
    inventory.purchase(hold.id, user)
    sweep(0)
    assert database.value(version) == before
    assert database.value("select took_ms >= 0 from drop_audits where drop_id = %s", [drop])


def test_an_open_drop_is_audited_each_hour_even_if_nothing_happens(database, make_drop):
    drop, ended = make_drop(), make_drop()
    inventory.update_drop(ended, {"state": "CANCELLED"})
    Outbox(database).drain()
    sweep(0)
    sweep(0)
    database.connection.execute("update drop_audits set took_ms = -1")
    database.shift_clock(3600)
    sweep(0)
    sweep(0)
    assert dict(database.rows("select drop_id, took_ms >= 0 from drop_audits")) == {drop: True, ended: False}


def test_an_audit_takes_a_hundredth_of_its_drops_time_at_most(database, make_drop):
    make_drop()
    slow = database.value("select pg_get_functiondef('audit'::regproc)").replace(
        "select * from drops where", "select d.* from drops d, pg_sleep(0.7) where"
    )
    database.connection.execute(slow)
    sweep(0)
    until, took_ms = database.rows("select extract(epoch from next_at - audited_at)::float, took_ms from drop_audits")[
        0
    ]
    assert took_ms >= 700
    assert until == pytest.approx(100 * took_ms / 1000)


def test_a_sweep_begins_no_further_audit_once_its_time_is_over(database, make_drop, configure):
    drops = [make_drop() for _ in range(4)]
    Outbox(database).drain()
    sweep(0)
    assert sum(_audited(database, drop) for drop in drops) == 1
    sweep(30)
    assert sum(_audited(database, drop) for drop in drops) == 4


def test_one_audit_runs_at_a_time(database, make_drop):
    make_drop()
    with sessions(database, 1) as (other,):
        other.begin()
        other.connection.execute("select pg_try_advisory_xact_lock(72177002)")
        assert audits.audit_next().drop_id is None
        other.rollback()
    assert audits.audit_next().drop_id is not None


def test_a_sweep_of_a_damaged_drop_turns_health_until_it_is_mended(client, database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    sweep(0)
    assert client.get("/api/health").json()["audit"] == {"findings": 0, "drops": []}
    database.connection.execute(DAMAGE, [drop])
    inventory.reserve(drop, user)
    _later(database)
    sweep(0)
    told = client.get("/api/health")
    assert (told.status_code, told.json()["status"]) == (503, "damaged")
    assert told.json()["audit"] == {"findings": 1, "drops": [drop]}
    database.connection.execute(MEND, [drop])
    # Viewers were told the false stock; who mends by hand leaves a mark, as every function does.
    database.connection.execute("insert into outbox (drop_id, kind) values (%s, 'stock')", [drop])
    _later(database)
    sweep(0)
    assert client.get("/api/health").json()["audit"] == {"findings": 0, "drops": []}


def test_an_audit_that_fails_stops_no_sweep(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    inventory.reserve(drop, user)
    database.shift_clock(61)
    database.connection.execute("drop function audit_next")
    with sessions(database, 1) as (session,):
        # Any failure that means "not now": here a lock that does not come in time.
        session.connection.execute(
            "create function audit_next(out drop_id bigint, out findings jsonb, out took_ms double precision)"
            " language plpgsql as $$ begin raise lock_not_available; end $$"
        )
    assert sweep(0).expired == 1
    assert database.stock(drop) == (5, 0, 0)


def _make_audit(url: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_URL")}
    return subprocess.run(
        [sys.executable, "-m", "dev.audit"],
        cwd=ROOT,
        env=environment | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_make_audit_lists_what_is_wrong_in_all_drops(database, make_drop, make_users):
    drop, other = make_drop(stock=5), make_drop(stock=3)
    clean = _make_audit(database.url)
    assert (clean.returncode, clean.stdout.splitlines()[-1][:16]) == (0, "2 drops audited "), clean.stderr
    database.connection.execute(DAMAGE, [other])
    database.connection.execute("insert into outbox (drop_id, kind) values (777, 'stock')")
    found = _make_audit(database.url)
    assert found.returncode == 1
    assert f"{other}/" in found.stdout and "units_not_conserved" in found.stdout
    assert "drop_missing" in found.stdout and "777" in found.stdout
    assert f"{drop}/ " not in found.stdout
    assert _audited(database, other) == 0


def test_make_audit_says_so_if_there_is_no_database():
    failed = _make_audit("postgresql://postgres@127.0.0.1:9/nothing")
    assert failed.returncode == 2
    assert failed.stdout.splitlines()[-1].startswith("error: ")
