"""What a million holds on one drop leave behind: `python -m tests.bench.growth [holds]`.

Holds of one drop come and go, round after round; after each comes a vacuum, and the pages of its indexes are counted.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from dev.ports import random_free
from dev.postgres import Postgres
from lib.migrate import migrate
from tests.support.servers import TEST_CLOCK

ROUNDS = 10
USERS = 10_000

# One statement a hold and one commit a hundred, so that the server need not flush a million times.
SELL = """
do $$
begin
  for n in 0 .. %(holds)s - 1 loop
    if (select outcome from reserve(%(drop)s, %(first)s + n %% %(users)s, null)) not in ('ok', 'replayed') then
      raise exception 'no hold for buyer %%', n;
    end if;
    if n %% %(users)s = %(users)s - 1 then
      update test_clock set shift = shift + interval '1 day';
      commit;
      perform expire_due(%(users)s);
      commit;
    elsif n %% 100 = 99 then
      commit;
    end if;
  end loop;
end $$
"""


@dataclass(frozen=True, slots=True)
class Growth:
    """Pages of 8 kB, and updates since the database was made."""

    holds: int
    live_index_pages: int
    history_pages: int
    stripe_pages: int
    stripe_updates: int
    stripe_updates_in_place: int


def sell_and_expire(connection: psycopg.Connection[Any], drop: int, first_user: int, users: int, holds: int) -> Growth:
    """`holds` holds by `users` buyers in turn, all of them expired whenever everybody has one; then a vacuum."""
    values = {"drop": drop, "first": first_user, "users": users, "holds": holds}
    connection.execute("set synchronous_commit = off")
    connection.execute(SELL % values)
    connection.execute("vacuum reservations, stock_stripes, outbox")
    connection.execute("select pg_stat_force_next_flush()")
    found = connection.execute(
        """
        select (select count(*) from reservations),
               pg_relation_size('one_live_hold_per_user') / 8192 + pg_relation_size('live_holds') / 8192,
               pg_relation_size('reservations') / 8192, pg_relation_size('stock_stripes') / 8192,
               n_tup_upd, n_tup_hot_upd
        from pg_stat_user_tables where relname = 'stock_stripes'
        """
    ).fetchone()
    assert found is not None
    return Growth(*map(int, found))


def main() -> None:
    holds = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-growth-") as folder,
        Postgres(Path(folder) / "data", random_free()) as postgres,
    ):
        migrate(postgres.url())
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute(TEST_CLOCK)
            connection.execute(f"insert into users (username) select 'u' || n from generate_series(1, {USERS}) n")
            sizes = f'[{{"size": "", "stock": {USERS}}}]'
            made = "select drop_id from create_drop('hot', 1, 'USD', null, null, null, 3600, null, %s, 'hot', '')"
            row = connection.execute(made, [sizes]).fetchone()
            assert row is not None
            print("holds      live indexes  history  stripes  in place")
            for _ in range(ROUNDS):
                grown = sell_and_expire(connection, row[0], 1, USERS, holds // ROUNDS)
                share = grown.stripe_updates_in_place / grown.stripe_updates
                print(
                    f"{grown.holds:9,}  {grown.live_index_pages:6,} pages  {grown.history_pages:7,}  "
                    f"{grown.stripe_pages:7,}  {share:7.2%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
