"""The plan rules: sessions that planned everything on empty tables stay fast with 100,000 live holds.

What a call touches is counted, not timed: the pages it looked at and which tables and indexes it scanned. The session
is a direct one, so that it keeps one backend and the plans that this backend made when there was nothing to plan for.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.support.buyers import Session
from tests.support.database import Database
from tests.support.servers import TEMPLATE, Servers

pytestmark = pytest.mark.xdist_group("heavy")

HELD = 100_000
SOLD = 20_000
FREE = 640
# Some thirty statements of a handful of pages each; a scan of the table or of a whole index is thousands.
FEW_BLOCKS = 300

# What a shop has beside: a thousand other drops of 64 stripes.
OTHER_DROPS = """
with made as (
  insert into drops (name, price, currency, total_stock, drop_start_time, hold_seconds)
  select 'other', 1, 'USD', 640, clock(), 60 from generate_series(1, 1000) returning id
), sized as (
  insert into drop_sizes select id, '', 0, 640, 64 from made
), fed as (
  insert into drop_feeds (drop_id, stock_sent) select id, 640 from made
)
insert into stock_stripes select id, '', n, 10 from made, generate_series(0, 63) n
"""
HOT_DROP = """
select drop_id from create_drop('hot', 200, 'USD', null, null, null, 600, 3,
  jsonb_build_array(jsonb_build_object('size', '', 'stock', %(stock)s)), 'hot', '')
"""
BULK = """
with own as (select id, row_number() over (order by id) - 1 as n from users where username like 'crowd%%'),
holds as (
  insert into reservations (user_id, drop_id, size, stripe, expires_at, created_at, status, closed_at)
  select id, %(drop)s, '', n %% 64, clock() + interval '10 min', clock(),
         case when n < %(held)s then 'ACTIVE' else 'PURCHASED' end, case when n < %(held)s then null else clock() end
  from own returning *
), bought as (
  insert into purchases (reservation_id, user_id, drop_id, size, price, currency, created_at, drop_snapshot)
  select id, user_id, drop_id, size, 200, 'USD', created_at, '{}' from holds where status = 'PURCHASED'
)
update stock_stripes s set available = s.available - taken.units
from (select stripe, count(*) as units from holds group by stripe) taken
where s.drop_id = %(drop)s and s.stripe = taken.stripe
"""


@dataclass(frozen=True)
class Touched:
    """What one call looked at."""

    result: Any
    blocks: int
    table_scans: dict[str, int]
    index_scans: dict[str, int]


@dataclass
class Shop:
    database: Database
    session: Session
    hot: int
    sold_out: int
    users: list[int]

    def newcomer(self) -> int:
        return self.users.pop()

    def touched(self, call: str, *params: Any) -> Touched:
        """What `select call` touches; it really happens."""
        self.session.row("select count(*) from pg_stat_force_next_flush()")
        before = self._scans()
        result = self.session.row(f"explain (analyze, buffers, format json) select * from {call}", *params)
        plan = result[0][0]["Plan"]
        self.session.row("select count(*) from pg_stat_force_next_flush()")
        after = self._scans()
        grown = {name: after[name] - before[name] for name in after if after[name] > before[name]}
        return Touched(
            result,
            plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
            {name: grown[name] for name in grown if name.startswith("table ")},
            {name.removeprefix("index "): grown[name] for name in grown if name.startswith("index ")},
        )

    def _scans(self) -> dict[str, int]:
        counted = """
            select 'table ' || relname, seq_scan from pg_stat_user_tables where relname <> 'test_clock'
            union all select 'index ' || indexrelname, idx_scan from pg_stat_user_indexes
        """
        return dict(self.database.rows(counted))


def _use_everything(session: Session, drop: int, users: list[int]) -> None:
    """More often than the five times after which Postgres settles on a plan."""
    for user in users:
        hold = session.hold(drop, user)
        session.reserve(drop, user)
        session.row("select outcome from get_reservation(%s, %s)", hold, user)
        session.release(hold, user)
        bought = session.hold(drop, user)
        session.purchase(bought, user)
        session.purchase(bought, user)
        session.reserve(drop, user)
        session.row("select count(*) from get_drop(%s)", drop)
        session.row("select count(*) from list_drops('live', 20, 1000)")
        session.row("update test_clock set shift = shift + interval '601 s' returning 1")
        session.reserve(drop, user)
        session.row("update test_clock set shift = shift + interval '601 s' returning 1")
        session.reserve(drop, user)
        session.row("update test_clock set shift = shift + interval '601 s' returning 1")
        session.expire_due()
        session.restock(drop, 1)
        session.row("select next_in_ms from claim_events(100, 5, 0)")
        session.row("select events_waiting from health()")


# Postgres takes a table that nobody analyzed for one of ten pages, but one analyzed while empty for empty.
@pytest.fixture(scope="module", params=["never analyzed", "analyzed while empty"])
def shop(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Shop]:
    name = f"plans_{os.getpid()}_{request.param_index}"
    with psycopg.connect(servers.direct_url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {TEMPLATE}")
        urls = servers.pooled_url(name), servers.direct_url(name)
        with psycopg.connect(urls[1], autocommit=True) as filler, psycopg.connect(urls[1], autocommit=True) as used:
            if request.param == "analyzed while empty":
                filler.execute("vacuum analyze")
            yield _fill(Database(*urls, filler), Session(used))
        admin.execute(f"drop database {name} with (force)")


def _fill(database: Database, session: Session) -> Shop:
    # Statistics that came in the meantime would hide what this is about.
    for (table,) in database.rows("select relname from pg_stat_user_tables"):
        database.connection.execute(f"alter table {table} set (autovacuum_enabled = false)")
    new_users = "insert into users (username) select %s || n from generate_series(1, %s) n returning id"
    warm = database.value(HOT_DROP.replace("'hot', '')", "'warm', '')"), {"stock": 12})
    _use_everything(session, warm, [row[0] for row in database.rows(new_users, ["warm", 8])])

    hot = database.value(HOT_DROP, {"stock": HELD + SOLD + FREE})
    database.rows(new_users, ["crowd", HELD + SOLD])
    database.connection.execute(OTHER_DROPS)
    # The rows go in as they would by calls, without the check of each foreign key.
    database.connection.execute("set session_replication_role = replica")
    database.connection.execute(BULK, {"drop": hot, "held": HELD})
    database.connection.execute("set session_replication_role = origin")
    sold_out = database.value(HOT_DROP.replace("'hot', '')", "'sold out', '')"), {"stock": 4})
    newcomers = [row[0] for row in database.rows(new_users, ["late", 40])]
    filler = Session(database.connection)
    for user in newcomers[:4]:
        assert filler.purchase(filler.hold(sold_out, user), user) == "ok"
    # The first to look for due holds clears the index of entries that the warm-up left dead.
    assert filler.reserve(sold_out, newcomers[4])[0] == "sold_out"
    database.assert_conserved()
    return Shop(database, session, hot, sold_out, newcomers[4:])


def _stays_small(touched: Touched, blocks: int = FEW_BLOCKS) -> None:
    assert touched.table_scans == {}
    assert touched.blocks < blocks


def test_postgres_takes_the_tables_for_empty(shop):
    """The premise of all that follows."""
    assert shop.database.value("select reltuples from pg_class where relname = 'reservations'") <= 0
    assert shop.database.stock(shop.hot)[1] >= HELD - 100


def test_reserve_touches_few_pages(shop):
    user = shop.newcomer()
    touched = shop.touched("reserve(%s, %s, null)", shop.hot, user)
    _stays_small(touched)
    assert touched.index_scans["one_live_hold_per_user"] >= 1
    assert touched.index_scans["purchases_by_user"] == 2
    assert "purchases_by_drop" not in touched.index_scans
    assert shop.session.reserve(shop.hot, user)[0] == "replayed"


def test_replay_touches_few_pages(shop):
    user = shop.newcomer()
    hold = shop.session.hold(shop.hot, user)
    touched = shop.touched("reserve(%s, %s, null)", shop.hot, user)
    _stays_small(touched, 40)
    assert touched.index_scans["one_live_hold_per_user"] == 1
    assert "due_holds" not in touched.index_scans
    assert shop.session.release(hold, user) == "ok"


def test_sold_out_touches_few_pages(shop):
    touched = shop.touched("reserve(%s, %s, null)", shop.sold_out, shop.newcomer())
    _stays_small(touched)
    # The buyer's own hold is looked for again at the end: another window of theirs may have got the last unit.
    assert (touched.index_scans["one_live_hold_per_user"], touched.index_scans["due_holds"]) == (2, 1)


def test_purchase_and_its_replay_touch_few_pages(shop):
    user = shop.newcomer()
    hold = shop.session.hold(shop.hot, user)
    _stays_small(shop.touched("purchase(%s, %s)", hold, user))
    _stays_small(shop.touched("purchase(%s, %s)", hold, user), 40)
    assert shop.session.purchase(hold, user) == "replayed"


def test_release_touches_few_pages(shop):
    user = shop.newcomer()
    hold = shop.session.hold(shop.hot, user)
    _stays_small(shop.touched("release(%s, %s)", hold, user))
    assert shop.session.release(hold, user) == "replayed"


def test_reading_a_reservation_touches_few_pages(shop):
    user = shop.newcomer()
    hold = shop.session.hold(shop.hot, user)
    _stays_small(shop.touched("get_reservation(%s, %s)", hold, user), 40)


def test_a_sweep_with_nothing_due_touches_few_pages(shop):
    touched = shop.touched("expire_due(1000)")
    _stays_small(touched, 40)
    assert touched.index_scans["due_holds"] == 2


def _overdue(shop: Shop, drop: int, count: int) -> None:
    """Make that many holds of a drop overdue."""
    shop.database.connection.execute(
        """update reservations set expires_at = created_at + interval '1 microsecond'
           where id in (select id from reservations where drop_id = %s and status = 'ACTIVE' limit %s)""",
        [drop, count],
    )


def test_a_sweep_touches_no_more_than_what_is_due(shop):
    _overdue(shop, shop.hot, 100)
    touched = shop.touched("expire_due(1000)")
    _stays_small(touched, 100 * 40)
    assert shop.database.value("select overdue_holds from health()") == 0
    shop.database.assert_conserved()


def test_taking_over_an_overdue_unit_touches_few_pages(shop):
    first, second = shop.newcomer(), shop.newcomer()
    drop = shop.database.value(HOT_DROP.replace("'hot', '')", "'last', '')"), {"stock": 1})
    shop.session.hold(drop, first)
    _overdue(shop, drop, 1)
    touched = shop.touched("reserve(%s, %s, null)", drop, second)
    _stays_small(touched)
    assert shop.session.reserve(drop, second)[0] == "replayed"


def test_a_restock_touches_few_pages(shop):
    _stays_small(shop.touched("restock(%s, null, 64, 'more', '')", shop.hot), 1500)
    shop.database.assert_conserved()


def test_claiming_events_touches_few_pages(shop):
    shop.database.connection.execute("delete from outbox")
    shop.database.connection.execute("vacuum outbox")
    shop.session.hold(shop.hot, shop.newcomer())
    _stays_small(shop.touched("claim_events(100, 5, 0)"))
