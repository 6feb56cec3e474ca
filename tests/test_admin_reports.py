"""What the shop reads of a drop: its figures, its stock over time, who holds a unit and who bought."""

import hashlib
import os
from collections.abc import Callable
from decimal import Decimal

import httpx2
import psycopg
import pytest

from lib import inventory, reports
from lib import migrate as migrations
from tests.support.api import pages, problem
from tests.support.buyers import in_background
from tests.support.database import Database
from tests.support.servers import Servers

MakeDrop = Callable[..., int]
MakeUsers = Callable[[int], list[int]]

ENDED = """
select (select sum(s.expired) from stock_stripes s where s.drop_id = %(drop)s),
       (select sum(s.released) from stock_stripes s where s.drop_id = %(drop)s),
       count(*) filter (where r.status = 'EXPIRED'), count(*) filter (where r.status = 'RELEASED')
from reservations r where r.drop_id = %(drop)s
"""


def buy(drop: int, user: int, size: str | None = None) -> int:
    return inventory.purchase(inventory.reserve(drop, user, size).id, user).id


def assert_ended_holds_are_counted(database: Database, drop: int) -> None:
    expired, released, expired_rows, released_rows = database.rows(ENDED, {"drop": drop})[0]
    assert (expired, released) == (expired_rows, released_rows)


@pytest.fixture
def sale(database: Database, make_drop: MakeDrop, make_users: MakeUsers) -> int:
    """A drop of ten units at 20.00: two bought, one released, one expired, one held, one overdue."""
    drop, users = make_drop(stock=10, price=Decimal("20.00"), hold_seconds=60), make_users(6)
    buy(drop, users[0])
    released = inventory.reserve(drop, users[2])
    inventory.release(released.id, users[2])
    inventory.reserve(drop, users[3])
    database.shift_clock(61)
    inventory.expire_due(10)
    inventory.reserve(drop, users[4])
    database.shift_clock(61)
    inventory.reserve(drop, users[5])
    bought = inventory.reserve(drop, users[1])
    database.shift_clock(8)
    inventory.purchase(bought.id, users[1])
    return drop


def test_the_figures_of_a_drop_add_up(client: httpx2.Client, sale: int) -> None:
    figures = client.get(f"/api/drops/{sale}/stats").json()
    assert figures["holds"] == {"active": 1, "overdue": 1, "purchased": 2, "expired": 1, "released": 1}
    assert (figures["totalStock"], figures["availableStock"]) == (10, 6)
    assert figures["conversion"] == 0.5
    assert (figures["revenue"], figures["currency"]) == (40.0, "USD")
    assert figures["dropId"] == sale
    # One purchase came at once, the other eight seconds after its hold.
    assert 4 <= figures["medianSecondsToPurchase"] < 5


def test_a_drop_that_nobody_wanted_yet_has_no_conversion(client: httpx2.Client, make_drop: MakeDrop) -> None:
    figures = client.get(f"/api/drops/{make_drop(3)}/stats").json()
    assert (figures["conversion"], figures["medianSecondsToPurchase"], figures["revenue"]) == (None, None, 0.0)


def test_revenue_is_what_was_paid_also_after_the_price_changed(make_drop: MakeDrop, make_users: MakeUsers) -> None:
    drop, users = make_drop(stock=5, price=Decimal("20.00")), make_users(3)
    buy(drop, users[0])
    inventory.update_drop(drop, {"price": "35.50"})
    buy(drop, users[1])
    assert reports.stats(drop).revenue == Decimal("55.50")
    inventory.update_drop(drop, {"price": "20.00"})
    buy(drop, users[2])
    assert reports.stats(drop).revenue == Decimal("75.50")


def test_a_change_of_the_name_is_no_change_of_the_price(database: Database, make_drop: MakeDrop) -> None:
    drop = make_drop(1)
    inventory.update_drop(drop, {"name": "Other", "price": "200"})
    assert database.value("select price_changed from drops where id = %s", [drop]) is False


def test_every_way_in_which_a_unit_returns_is_counted(
    database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    drop, users = make_drop(stock=3), make_users(6)
    holds = [inventory.reserve(drop, user) for user in users[:3]]
    inventory.release(holds[0].id, users[0])
    assert_ended_holds_are_counted(database, drop)
    database.shift_clock(61)
    inventory.reserve(drop, users[1])  # ends the caller's own overdue hold
    assert_ended_holds_are_counted(database, drop)
    for user in users[3:5]:  # the second of them takes over the unit of an overdue hold
        inventory.reserve(drop, user)
    assert database.statuses(drop)["EXPIRED"] == 2
    assert_ended_holds_are_counted(database, drop)
    database.shift_clock(61)
    inventory.expire_due(10)
    assert database.statuses(drop) == {"RELEASED": 1, "EXPIRED": 5}
    assert_ended_holds_are_counted(database, drop)
    database.assert_conserved()


def test_the_counts_begin_with_what_was_there_before_they_were_kept(servers: Servers) -> None:
    """A database of the first schema, with a sale behind it, is brought to this one."""
    name, first = f"before_reports_{os.getpid()}", migrations.numbered_files()[0]
    with psycopg.connect(servers.direct_url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template template0")
        with psycopg.connect(servers.direct_url(name), autocommit=True) as connection:
            connection.execute(first.read_bytes())
            connection.execute(OLD_SALE)
            connection.execute("create table schema_migrations (name text, sha256 text, applied_at timestamptz)")
            digest = hashlib.sha256(first.read_bytes()).hexdigest()
            connection.execute("insert into schema_migrations (name, sha256) values (%s, %s)", [first.name, digest])
            assert first.name not in migrations.migrate(servers.direct_url(name))
            counted = "select drop_id, expired, released from stock_stripes order by drop_id"
            assert connection.execute(counted).fetchall() == [(1, 2, 1), (2, 0, 0)]
            changed = "select id, price_changed from drops order by id"
            assert connection.execute(changed).fetchall() == [(1, True), (2, False)]
        admin.execute(f"drop database {name} with (force)")


OLD_SALE = """
insert into users (username) values ('ann'), ('bob'), ('cid'), ('dot');
insert into drops (name, price, currency, total_stock, drop_start_time, hold_seconds)
values ('sold at two prices', 30, 'USD', 4, now(), 60), ('sold at one', 10, 'USD', 1, now(), 60);
insert into drop_sizes values (1, '', 0, 4, 1), (2, '', 0, 1, 1);
insert into stock_stripes (drop_id, size, stripe, available) values (1, '', 0, 3), (2, '', 0, 0);
insert into drop_feeds (drop_id, stock_sent) values (1, 3), (2, 0);
insert into reservations (user_id, drop_id, size, stripe, status, expires_at, created_at, closed_at)
select user_id, drop_id, '', 0, status, now() + interval '1 min', now(), now()
from (values (1, 1, 'EXPIRED'), (2, 1, 'EXPIRED'), (3, 1, 'RELEASED'), (4, 1, 'PURCHASED'), (4, 2, 'PURCHASED'))
  past (user_id, drop_id, status);
insert into purchases (reservation_id, user_id, drop_id, size, price, currency, created_at, drop_snapshot)
values (4, 4, 1, '', 20, 'USD', now(), '{}'), (5, 4, 2, '', 10, 'USD', now(), '{}');
"""


def test_who_must_decide_soonest_comes_first_among_the_holders(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    drop, users = make_drop(stock=9, sizes=[("S", 5), ("M", 4)]), make_users(5)
    held = []
    for user in users:
        database.shift_clock(1)
        held.append(inventory.reserve(drop, user, "M" if user % 2 else "S"))
    inventory.release(held[1].id, users[1])
    inventory.purchase(held[2].id, users[2])
    answer = client.get(f"/api/drops/{drop}/holds")
    found = answer.json()["holds"]
    assert [hold["id"] for hold in found] == [held[0].id, held[3].id, held[4].id]
    assert {"userId": users[0], "username": found[0]["username"], "size": held[0].size}.items() <= found[0].items()
    assert found[0]["username"] == database.value("select username from users where id = %s", [users[0]])
    assert "link" not in answer.headers
    database.shift_clock(56.5)  # the first hold is overdue now, though nobody has expired it
    left = client.get(f"/api/drops/{drop}/holds").json()["holds"]
    assert [hold["id"] for hold in left] == [held[3].id, held[4].id]


def test_holders_and_buyers_come_in_pages(
    client: httpx2.Client, make_drop: MakeDrop, make_users: MakeUsers, database: Database
) -> None:
    drop, users = make_drop(stock=10), make_users(5)
    holds = [inventory.reserve(drop, user).id for user in users]
    # Two holds that end in the same instant: the id decides.
    database.connection.execute("update reservations set expires_at = (select max(expires_at) from reservations)")
    in_pages = pages(client, f"/api/drops/{drop}/holds?limit=2", "holds")
    assert in_pages == [holds[:2], holds[2:4], holds[4:]]
    bought = [inventory.purchase(hold, user).id for hold, user in zip(holds, users, strict=True)]
    bought.reverse()
    in_pages = pages(client, f"/api/drops/{drop}/purchases?limit=2", "purchases")
    assert in_pages == [bought[:2], bought[2:4], bought[4:]]
    assert pages(client, f"/api/drops/{drop}/purchases?limit=5", "purchases") == [bought]


def test_a_purchase_is_told_with_its_buyer_and_the_price_paid(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    drop, (user,) = make_drop(sizes=[("M", 2)], price=Decimal("12.50"), currency="EUR"), make_users(1)
    number = buy(drop, user, "M")
    inventory.update_drop(drop, {"price": "99"})
    (found,) = client.get(f"/api/drops/{drop}/purchases").json()["purchases"]
    assert (found["id"], found["userId"], found["size"]) == (number, user, "M")
    assert (found["price"], found["currency"]) == (12.5, "EUR")
    assert found["username"] == database.value("select username from users where id = %s", [user])


@pytest.mark.parametrize("report", ["stats", "history", "holds", "purchases", "purchases.csv"])
def test_a_drop_that_is_not_there_has_no_reports(client: httpx2.Client, make_drop: MakeDrop, report: str) -> None:
    problem(client.get(f"/api/drops/{make_drop(1) + 1}/{report}"), 404, "drop_not_found")


@pytest.mark.parametrize("report", ["holds", "purchases"])
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "after=0", "after=-1", "after=9223372036854775808"]
)
def test_a_page_of_a_report_has_bounds(client: httpx2.Client, make_drop: MakeDrop, report: str, query: str) -> None:
    problem(client.get(f"/api/drops/{make_drop(1)}/{report}?{query}"), 422, "validation_failed")


def test_a_report_waits_for_no_buyer_and_no_buyer_for_it(
    database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    drop, (ann, bob) = make_drop(stock=5), make_users(2)
    hold = inventory.reserve(drop, ann)
    with database.connect() as other, other.transaction():
        other.execute("select from stock_stripes where drop_id = %s for no key update", [drop])
        other.execute("select from reservations where id = %s for no key update", [hold.id])
        for report in (reports.stats, reports.history):
            assert in_background(lambda report=report: report(drop)).result(10)
    with database.connect() as reader, reader.transaction():
        reader.execute("select * from drop_stats(%s)", [drop])
        reader.execute("select * from stock_history(%s, 10, 10)", [drop])
        reader.execute("select * from live_holds(%s, 10, null)", [drop])
        assert in_background(lambda: buy(drop, bob)).result(10)
