"""The twelve faults of the original and of systems like it: each brought about as it was, none happening here."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg
import pytest

from lib import errors, inventory
from lib.migrate import migrate
from tests.support.buyers import CROWD, all_at_once, connect_crowd, sessions, told

ROOT = Path(__file__).parent.parent

BULK_HOLDS = """
with taken as (
  update stock_stripes set available = 0 where drop_id = %(drop)s returning size, stripe, (
    select before.available from stock_stripes before
    where before.drop_id = %(drop)s and before.stripe = stock_stripes.stripe) as units
), unit as (select size, stripe, row_number() over () as n from taken, generate_series(1, units))
insert into reservations (user_id, drop_id, size, stripe, expires_at, created_at)
select u.id, %(drop)s, unit.size, unit.stripe, clock() + interval '60 s', clock()
from unit join (select id, row_number() over (order by id) as n from users) u using (n)
"""


def test_fault_1_a_purchase_posted_twice_at_once_is_one_purchase(database, make_drop, make_users, configure):
    configure(**CROWD)
    connect_crowd()
    drop, users = make_drop(stock=100), make_users(100)
    holds = [(inventory.reserve(drop, user).id, user) for user in users]
    results = all_at_once([partial(inventory.purchase, *hold) for hold in holds for _ in range(2)])
    assert told(results) == {"ok": 100, "replayed": 100}
    assert database.stock(drop) == (0, 0, 100)


def test_fault_1_the_tables_themselves_refuse_a_second_purchase_of_a_hold(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    inventory.purchase(inventory.reserve(drop, user).id, user)
    columns = "reservation_id, user_id, drop_id, size, price, currency, created_at, drop_snapshot"
    with pytest.raises(psycopg.errors.UniqueViolation, match="one_purchase_per_reservation"):
        database.connection.execute(f"insert into purchases ({columns}) select {columns} from purchases")


def test_fault_2_5000_holds_expiring_under_four_reapers_return_5000_units(database, make_drop, make_users, configure):
    configure(**CROWD)
    connect_crowd()
    drop, _ = make_drop(stock=5000), make_users(5000)
    database.connection.execute(BULK_HOLDS, {"drop": drop})
    assert database.stock(drop) == (0, 5000, 0)
    database.shift_clock(61)

    def reap() -> int:
        total = 0
        while inventory.health().overdue_holds:
            total += inventory.expire_due(500).expired
        return total

    assert sum(all_at_once([reap] * 4)) == 5000
    assert database.stock(drop) == (5000, 0, 0)


def test_fault_3_the_reaper_keeps_reservations_made_while_it_runs(database, make_drop, make_users):
    drop, users = make_drop(stock=8), make_users(6)  # two stripes of four
    for user in users[:4]:
        inventory.reserve(drop, user)
    database.shift_clock(61)
    with sessions(database, 2) as (reaper, buyer):
        reaper.begin()
        reaper.expire_due(1)
        late = [buyer.reserve(drop, user)[0] for user in users[4:]]
        reaper.commit()
        buyer.expire_due()
    assert late == ["ok", "ok"]
    assert database.stock(drop) == (6, 2, 0)


def test_fault_4_late_purchases_of_ten_holds_at_once_return_ten_units(database, make_drop, make_users, configure):
    configure(**CROWD)
    connect_crowd()
    drop, users = make_drop(stock=10), make_users(10)
    holds = [(inventory.reserve(drop, user).id, user) for user in users]
    database.shift_clock(61)
    calls = [partial(inventory.purchase, *hold) for hold in holds for _ in range(4)]
    assert told(all_at_once(calls)) == {"reservation_expired": 40}
    inventory.expire_due(100)
    assert database.stock(drop) == (10, 0, 0)


def test_fault_4_cancel_posted_five_times_returns_one_unit(database, client, make_drop, make_users):
    drop, (user, other) = make_drop(stock=3), make_users(2)
    inventory.reserve(drop, other)
    hold = inventory.reserve(drop, user)
    cancel = partial(client.request, "DELETE", f"/api/reservations/{hold.id}", json={"userId": user})
    assert [reply.status_code for reply in all_at_once([cancel] * 5)] == [200] * 5
    assert database.stock(drop) == (2, 1, 0)


@pytest.mark.parametrize("pool_size", [1, 5])
def test_fault_5_a_small_pool_serves_sixteen_buyers(database, client, make_drop, make_users, configure, pool_size):
    configure(DATABASE_POOL_MAX=str(pool_size), DATABASE_TIMEOUT_MS="20000")
    drop, users = make_drop(stock=16), make_users(16)

    def buy(user: int) -> list[int]:
        hold = client.post(f"/api/reserve/{drop}", json={"userId": user})
        return [
            hold.status_code,
            client.post(f"/api/purchase/{hold.json()['reservation']['id']}", json={"userId": user}).status_code,
        ]

    assert all_at_once([partial(buy, user) for user in users]) == [[201, 201]] * 16
    assert database.stock(drop) == (0, 0, 16)


RESERVE_AND_DIE = """
import os, sys
from lib import inventory
print(inventory.reserve(int(sys.argv[1]), int(sys.argv[2])).id, flush=True)
os._exit(9)
"""


def test_fault_6_the_hold_of_a_process_that_died_expires_all_the_same(database, make_drop, make_users):
    drop, (gone, next_buyer) = make_drop(stock=1), make_users(2)
    command = [sys.executable, "-c", RESERVE_AND_DIE, str(drop), str(gone)]
    hold = int(subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, env=os.environ).stdout)
    with pytest.raises(errors.SoldOut):
        inventory.reserve(drop, next_buyer)
    database.shift_clock(60)
    with pytest.raises(errors.ReservationExpired):
        inventory.purchase(hold, gone)
    assert inventory.reserve(drop, next_buyer).outcome == "ok"
    assert database.stock(drop) == (0, 1, 0)


def test_fault_7_reserving_before_the_start_is_refused(database, client, make_drop, make_users):
    drop, (user,) = make_drop(start=datetime.now(UTC) + timedelta(hours=1)), make_users(1)
    reply = client.post(f"/api/reserve/{drop}", json={"userId": user})
    assert (reply.status_code, reply.json()["code"]) == (409, "drop_not_started")
    assert database.stock(drop) == (5, 0, 0)


WRONG_DROPS = [
    {"totalStock": -1},
    {"totalStock": 0},
    {"price": "abc"},
    {"price": "5abc"},
    {"price": -1},
    {"price": None},
]


@pytest.mark.parametrize("wrong", WRONG_DROPS, ids=str)
def test_fault_7_a_drop_with_nonsense_is_refused(database, client, wrong):
    reply = client.post("/api/drops", json={"name": "x", "price": 1, "totalStock": 1, **wrong})
    assert (reply.status_code, reply.json()["code"]) == (422, "validation_failed")
    assert database.value("select count(*) from drops") == 0


def test_fault_7_the_tables_themselves_refuse_a_negative_stock(database, make_drop):
    make_drop()
    with pytest.raises(psycopg.errors.CheckViolation, match="stock_not_negative"):
        database.connection.execute("update stock_stripes set available = -1")


WRONG_BODIES = [(b"{", 400), (b"", 422), (b"[]", 422), (b'{"userId": 999999}', 404), (b'{"userId": "1; drop"}', 422)]


@pytest.mark.parametrize(("body", "status"), WRONG_BODIES)
def test_fault_7_wrong_bodies_and_users_get_a_plain_problem(database, client, make_drop, body, status):
    drop = make_drop()
    reply = client.post(f"/api/reserve/{drop}", content=body, headers={"content-type": "application/json"})
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    assert isinstance(reply.json()["error"], str)
    assert not any(word in reply.text.lower() for word in ("traceback", "select ", "psycopg", "<html", "constraint"))


def test_fault_7_sold_out_is_a_conflict_not_a_failure(database, client, make_drop, make_users):
    drop, (first, second) = make_drop(stock=1), make_users(2)
    inventory.reserve(drop, first)
    reply = client.post(f"/api/reserve/{drop}", json={"userId": second})
    assert (reply.status_code, reply.json()["code"]) == (409, "sold_out")


def test_fault_8_no_event_is_seen_before_its_commit(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    database.connection.execute("delete from outbox")
    claim = "select jsonb_array_length(events) from claim_events(100, 5, 0)"
    with sessions(database, 1) as (buyer,):
        buyer.begin()
        buyer.hold(drop, user)
        assert database.value(claim) == 0
        buyer.commit()
    assert database.value(claim) == 1


def test_fault_8_every_event_names_its_drop_by_a_number(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    inventory.purchase(inventory.reserve(drop, user).id, user)
    events = database.value("select events from claim_events(100, 5, 0)")
    assert {event["kind"] for event in events} == {"stock", "changed", "purchase"}
    assert [(type(event["data"]["dropId"]), event["data"]["dropId"]) for event in events] == [(int, drop)] * 3


def test_fault_8_a_sold_out_drop_stays_in_the_list(database, client, make_drop, make_users):
    drop, (user,) = make_drop(stock=1), make_users(1)
    inventory.purchase(inventory.reserve(drop, user).id, user)
    (listed,) = client.get("/api/drops").json()
    assert (listed["id"], listed["status"], listed["availableStock"]) == (drop, "SOLD_OUT", 0)


def _blocks_of_the_list(database) -> int:
    query = "explain (analyze, buffers, format json) select * from list_drops('live', 50, 9000)"
    plan = database.value(query)[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def test_fault_9_the_list_costs_the_same_however_much_was_sold(database, make_drop, make_users):
    drop, users = make_drop(stock=5010), make_users(5010)
    for user in users[:10]:
        inventory.purchase(inventory.reserve(drop, user).id, user)
    few = max(_blocks_of_the_list(database) for _ in range(3))
    buy_all = "select (purchase((r.hold).id, u.id)).outcome from users u, reserve(%s, u.id, null) r where u.id > %s"
    assert {row[0] for row in database.rows(buy_all, [drop, users[9]])} == {"ok"}
    assert database.stock(drop) == (0, 0, 5010)
    many = max(_blocks_of_the_list(database) for _ in range(3))
    assert len(inventory.get_drop(drop).recent_purchases) == 3
    assert many < few + 300


def test_fault_10_starting_again_and_again_adds_no_constraint(database):
    count = (
        "select (select count(*) from pg_constraint), (select count(*) from pg_index), (select count(*) from pg_proc)"
    )
    before = database.rows(count)
    for _ in range(3):
        assert migrate(database.direct_url) == []
    assert database.rows(count) == before


@pytest.fixture
def silent_channel(configure, database):
    """A channel whose server takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        configure(
            PUSHER_APP_ID="1",
            PUSHER_KEY="key",
            PUSHER_SECRET="secret",
            PUSHER_HOST="127.0.0.1",
            PUSHER_PORT=str(server.getsockname()[1]),
            PUSHER_USE_TLS="false",
            PUBLISH_TIMEOUT_MS="8000",
        )
        yield server


def test_fault_11_no_reply_waits_for_a_silent_channel(database, client, make_drop, make_users, silent_channel):
    drop, (user,) = make_drop(), make_users(1)
    # Less than one publish takes to give up: a reply that waited for it would come too late.
    client.timeout = 6
    hold = client.post(f"/api/reserve/{drop}", json={"userId": user})
    bought = client.post(f"/api/purchase/{hold.json()['reservation']['id']}", json={"userId": user})
    assert (hold.status_code, bought.status_code) == (201, 201)
    assert database.value("select count(*) from outbox where kind = 'purchase'") == 1


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/drops"), ("POST", "/api/drops/1/restock"), ("GET", "/api/cron/reap")]
)
def test_fault_11_production_without_secrets_refuses(database, client, configure, method, path):
    configure(HOLDFAST_ENV="production")
    reply = client.request(method, path, headers={"Authorization": "Bearer secret"}, json={"quantity": 1})
    assert (reply.status_code, reply.json()["code"]) == (503, "not_configured")


def test_fault_11_an_edit_of_the_stock_keeps_what_buyers_take_meanwhile(database, make_drop, make_users):
    drop, (user,) = make_drop(stock=4), make_users(1)
    with sessions(database, 2) as (admin, other):
        admin.begin()
        assert admin.restock(drop, 4) == "ok"
        assert other.reserve(drop, user)[0] == "busy"
        admin.commit()
        assert other.reserve(drop, user)[0] == "ok"
    assert database.stock(drop) == (7, 1, 0)


def test_fault_12_re_reserving_does_not_extend_a_hold(database, make_drop, make_users):
    drop, (user,) = make_drop(), make_users(1)
    first = inventory.reserve(drop, user)
    database.shift_clock(50)
    assert inventory.reserve(drop, user).expires_at == first.expires_at
    database.shift_clock(10)
    with pytest.raises(errors.ReservationExpired):
        inventory.purchase(first.id, user)
