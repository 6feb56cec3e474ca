"""Reading a drop costs the same whatever other drops have sold: the planner must not be misled by one large sale."""

from collections.abc import Iterator
from typing import Any

import pytest

from lib import inventory
from tests.support.database import Database

SOLD = 30_000
# Some statements of a handful of pages each; all purchases are a thousand pages and more.
FEW_BLOCKS = 100

BULK = """
with buyers as (
  insert into users (username) select 'crowd ' || %(drop)s || '-' || n from generate_series(1, %(sold)s) n returning id
), holds as (
  insert into reservations (user_id, drop_id, size, stripe, status, expires_at, created_at, closed_at)
  select id, %(drop)s, '', id %% 64, 'PURCHASED', clock() + interval '1 min', clock(), clock() from buyers returning *
), bought as (
  insert into purchases (reservation_id, user_id, drop_id, size, price, currency, created_at, drop_snapshot)
  select id, user_id, drop_id, '', 200, 'USD', created_at, '{}' from holds
)
update stock_stripes set available = 0 where drop_id = %(drop)s
"""


@pytest.fixture
def unsold(database: Database, make_drop: Any) -> Iterator[int]:
    """A drop that nobody bought, beside one that sold out to a crowd. The planner has looked at the tables since."""
    sold, drop = make_drop(stock=SOLD), make_drop(stock=5)
    database.connection.execute("set session_replication_role = replica")
    database.connection.execute(BULK, {"sold": SOLD, "drop": sold})
    database.connection.execute("set session_replication_role = origin")
    database.connection.execute("vacuum analyze")
    assert inventory.get_drop(sold).sold_count == SOLD
    yield drop


# How many times FEW_BLOCKS each may touch.
CALLS = {
    "get_drop({drop})": 1,
    "list_drops('all', 50, 1000000)": 2,
    "search_drops(null, null, 50, 1000000)": 2,
    "drop_stats({drop})": 1,
    "drop_stats({sold})": 20,  # the newest 500 purchases, each with its hold: three pages deep
    "stock_history({drop}, 600, 20000)": 1,
    "live_holds({drop}, 50, null)": 1,
    "newest_purchases({drop}, 50, 1000000)": 1,
    "newest_purchases({sold}, 50, 20000)": 2,
    "oldest_purchases({drop}, 2000, 0)": 1,
    "oldest_purchases({sold}, 50, 20000)": 2,
}


def test_reading_touches_few_pages(database: Database, unsold: int) -> None:
    touched = {}
    for call in CALLS:
        query = f"explain (analyze, buffers, format json) select * from {call.format(drop=unsold, sold=unsold - 1)}"
        # More often than the five times after which Postgres settles on a plan.
        for _ in range(7):
            plan = database.value(query)[0]["Plan"]
        touched[call] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert {call: blocks for call, blocks in touched.items() if blocks >= FEW_BLOCKS * CALLS[call]} == {}


MANY_DROPS = 100


def test_a_sale_that_the_planner_has_not_heard_of_slows_no_reader(database: Database, make_drop: Any) -> None:
    """A pooler's connections keep their plans until the tables are analyzed; a sale of a minute waits for nobody."""
    drops = [make_drop(stock=SOLD) for _ in range(MANY_DROPS)]
    database.connection.execute("set session_replication_role = replica")
    for drop in drops[:-1]:
        database.connection.execute(BULK, {"sold": 1, "drop": drop})
    database.connection.execute("vacuum analyze")
    calls = [f"get_drop({drops[0]})", "list_drops('all', 50, 1000000)"]
    with database.connect() as reader:

        def touched() -> list[int]:
            plans = [reader.execute(f"explain (analyze, buffers, format json) select * from {call}") for call in calls]
            found = [plan.fetchone()[0][0]["Plan"] for plan in plans]
            return [plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in found]

        for _ in range(7):
            before = touched()
        database.connection.execute(BULK, {"sold": SOLD, "drop": drops[-1]})
        after = touched()
    assert all(now < 2 * then for then, now in zip(before, after, strict=True)), (before, after)
