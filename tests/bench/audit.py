"""`make bench-audit`: what an audit costs on a drop with many purchases, beside another one with as many.

Prints the time of each audit, and how often the sweep would run it. Postgres is the bundled one, as it comes.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from dev.postgres import Postgres
from dev.processes import guard
from lib.migrate import migrate

DATABASE = "audit"
# A history as sales leave it: every unit of a drop held and bought, by as many buyers, and each hold in its stripe.
FILL = """
with made as (
  select drop_id from create_drop('Many', 1, 'EUR', null, null, null, 60, null,
    jsonb_build_array(jsonb_build_object('size', '', 'stock', %(units)s)), gen_random_uuid()::text, '')
), held as (
  insert into reservations (user_id, drop_id, size, stripe, status, expires_at, created_at, closed_at)
  select n, made.drop_id, '', n %% 64, 'PURCHASED', now() + interval '1 minute', now(), now()
  from made, generate_series(1, %(units)s) n
  returning id, user_id, drop_id
)
insert into purchases (reservation_id, user_id, drop_id, size, price, currency, created_at, drop_snapshot)
select h.id, h.user_id, h.drop_id, '', 1, 'EUR', now(), '{}' from held h
"""


def fill(connection: psycopg.Connection[tuple[object, ...]], units: int) -> list[int]:
    """Two drops, sold out to their last unit."""
    connection.execute("insert into users (username) select 'u' || n from generate_series(1, %s) n", [units])
    for _ in range(2):
        connection.execute(FILL, {"units": units})
        connection.execute("update stock_stripes set available = 0")
        connection.execute("update drop_feeds set stock_sent = 0")
        connection.execute("delete from outbox")
    return [int(str(row[0])) for row in connection.execute("select id from drops order by id")]


def timed(connection: psycopg.Connection[tuple[object, ...]], drop: int, thorough: bool) -> float:
    """Seconds of the best of three audits, which must find nothing."""
    best = float("inf")
    for _ in range(3):
        began = time.monotonic()
        found = connection.execute("select * from audit(%s, %s)", [drop, thorough]).fetchall()
        best = min(best, time.monotonic() - began)
        assert found == [], found
    return best


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-audit")
    parser.add_argument("--purchases", type=int, default=1_000_000)
    parser.add_argument("--drops", type=int, default=10_000, help="small drops beside, for choosing whose turn it is")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        Postgres(Path(folder) / "data", settings={"fsync": "off"}) as postgres,
    ):
        postgres.create_database(DATABASE)
        migrate(postgres.url(DATABASE))
        with psycopg.connect(postgres.url(DATABASE), autocommit=True) as connection:
            drops = fill(connection, chosen.purchases)
            for state in ("never analyzed", "analyzed"):
                if state == "analyzed":
                    connection.execute("vacuum analyze")
                for thorough in (False, True):
                    seconds = timed(connection, drops[0], thorough)
                    kind = "every row" if thorough else "as the sweep does"
                    print(f"{chosen.purchases:,} purchases, {state}, {kind}: {seconds:.2f} s", flush=True)
                every = max(60.0, 100 * timed(connection, drops[0], False))
                print(f"  the sweep audits it every {every:.0f} s at most")
            took = choosing(connection, chosen.drops)
            print(f"choosing among {chosen.drops:,} drops, none of which changed: {took:.1f} ms")
    guard.close()
    return 0


def choosing(connection: psycopg.Connection[tuple[object, ...]], drops: int) -> float:
    """Milliseconds of the sweep's question whose turn it is."""
    connection.execute(
        "select create_drop('Few', 1, 'EUR', null, null, null, 60, null, '[{\"size\": \"\", \"stock\": 4}]',"
        " n::text, '') from generate_series(1, %s) n",
        [drops],
    )
    connection.execute(
        "insert into drop_audits (drop_id, audited_at, version, last_purchase, next_at, took_ms, findings)"
        " select d.id, clock(), f.version, coalesce((select max(p.id) from purchases p where p.drop_id = d.id), 0),"
        " '-infinity', 1, '[]' from drops d join drop_feeds f on f.drop_id = d.id"
    )
    connection.execute("vacuum analyze")
    best = float("inf")
    for _ in range(5):
        began = time.monotonic()
        assert connection.execute("select drop_id from audit_next()").fetchone() == (None,)
        best = min(best, time.monotonic() - began)
    return best * 1000


if __name__ == "__main__":
    sys.exit(main())
