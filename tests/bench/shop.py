"""A shop that has been open for years: past reservations, purchases and drops by the million, loaded in bulk."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from lib.migrate import migrate
from tests.bench.measure import Progress
from tests.bench.stack import Stack

# The full shop, and the live holds that a drop on sale has in a shop of any age.
PURCHASES = 1_000_000
RESERVATIONS = 10_000_000
DROPS = 10_000
LIVE_HOLDS = 100
# Two pages of the list: shops of all ages show as many drops at once.
FEWEST_DROPS = 100
# So much at once that each statement's end is a step of the progress.
_CHUNK = 1_000_000

_DROPS = """
insert into drops (id, name, price, currency, total_stock, drop_start_time, hold_seconds)
select n, 'Drop ' || n, 100, 'EUR', 1000000, now() - interval '1 year', 86400 from generate_series(1, %(drops)s) n;
insert into drop_sizes (drop_id, size, position, total_stock, stripes)
select n, '', 1, 1000000, 25 from generate_series(1, %(drops)s) n;
insert into stock_stripes (drop_id, size, stripe, available)
select n, '', s, 100 from generate_series(1, %(drops)s) n, generate_series(0, 24) s;
insert into drop_feeds (drop_id, stock_sent) select n, 2500 from generate_series(1, %(drops)s) n;
select setval(pg_get_serial_sequence('drops', 'id'), %(drops)s);
insert into users (username) select 'buyer-' || n from generate_series(1, %(users)s) n;
"""
# Every tenth was bought. Half of all are of the newest drop, which stands on the list's first page.
_RESERVATIONS = """
insert into reservations (id, user_id, drop_id, size, stripe, status, expires_at, created_at, closed_at)
overriding system value
select n, 1 + n %% %(users)s, case when n / 10 %% 2 = 0 then %(drops)s else 1 + n / 20 %% %(drops)s end, '',
       n %% 25, case n %% 10 when 0 then 'PURCHASED' when 1 then 'RELEASED' else 'EXPIRED' end,
       t.at + interval '1 minute', t.at, t.at + interval '1 minute'
from generate_series(%(first)s, %(last)s) n, lateral (select now() - interval '1 year' + n * interval '1 ms' as at) t
"""
_PURCHASES = """
insert into purchases (reservation_id, user_id, drop_id, size, price, currency, created_at, drop_snapshot)
select r.id, r.user_id, r.drop_id, '', 100, 'EUR', r.closed_at, jsonb_build_object('id', r.drop_id, 'name', 'Bench')
from reservations r where r.status = 'PURCHASED' order by r.id
"""


@dataclass(frozen=True, slots=True)
class Shop:
    database: str
    purchases: int
    reservations: int
    drops: int

    @property
    def hot_drop(self) -> int:
        """The newest drop, with half of all reservations and purchases."""
        return self.drops

    @property
    def words(self) -> str:
        return f"{self.purchases:,} purchases, {self.reservations:,} past reservations, {self.drops:,} drops"


def make(stack: Stack, database: str, share: float, progress: Progress) -> Shop:
    """A migrated database with `share` of the full shop. Every row is one that the SQL functions could have written."""
    shop = Shop(
        database, round(PURCHASES * share), round(RESERVATIONS * share), max(FEWEST_DROPS, round(DROPS * share))
    )
    users = max(1_000, shop.reservations // 100)
    stack.postgres.create_database(database)
    migrate(stack.postgres.url(database))
    with psycopg.connect(stack.postgres.url(database), autocommit=True) as connection:
        # Foreign keys hold by construction: checking each again would take most of the time.
        connection.execute("set session_replication_role = replica")
        connection.execute("set synchronous_commit = off")
        connection.execute("set maintenance_work_mem = '256MB'")
        progress(f"{shop.words}: drops")
        cursor = psycopg.ClientCursor(connection)
        cursor.execute(_DROPS, {"drops": shop.drops, "users": users})
        for first in range(1, shop.reservations + 1, _CHUNK):
            last = min(shop.reservations, first + _CHUNK - 1)
            progress(f"{shop.words}: reservations to {last:,}")
            cursor.execute(_RESERVATIONS, {"users": users, "drops": shop.drops, "first": first, "last": last})
        connection.execute("select setval(pg_get_serial_sequence('reservations', 'id'), %s)", [shop.reservations])
        progress(f"{shop.words}: purchases")
        connection.execute(_PURCHASES)
        connection.execute("reset session_replication_role")
        held = connection.execute(
            "select count(*) from generate_series(1, %s) n, reserve(%s, n, null) r where r.outcome = 'ok'",
            [LIVE_HOLDS, shop.hot_drop],
        ).fetchone()
        assert held == (LIVE_HOLDS,), held
        progress(f"{shop.words}: vacuum")
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
    return shop
