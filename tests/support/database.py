"""One test's database: a clone of the migrated template, and what tests ask it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

CONSERVED = """
select z.drop_id, z.size, z.total_stock,
       (select coalesce(sum(s.available), 0) from stock_stripes s where s.drop_id = z.drop_id and s.size = z.size)
         as available,
       (select count(*) from reservations r
        where r.drop_id = z.drop_id and r.size = z.size and r.status = 'ACTIVE') as held,
       (select count(*) from purchases p where p.drop_id = z.drop_id and p.size = z.size) as purchased
from drop_sizes z order by z.drop_id, z.size
"""
# Instead of the real time and an offset: nothing passes while nobody moves it, so a deadline is met to the microsecond.
FROZEN_CLOCK = """
create table frozen_clock (at timestamptz not null);
insert into frozen_clock values ('infinity');
grant select on frozen_clock to public;
create or replace function clock() returns timestamptz language sql volatile as $$ select at from frozen_clock $$;
"""


@dataclass
class Database:
    """`url` goes through PgBouncer with the rights of functions; `direct_url` is the owner's, to Postgres itself."""

    url: str
    direct_url: str
    connection: psycopg.Connection[Any]
    _is_frozen: bool = False

    def rows(self, query: str, params: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, params).fetchall()

    def value(self, query: str, params: Sequence[Any] | dict[str, Any] = ()) -> Any:
        """The only column of the only row."""
        ((value,),) = self.rows(query, params)
        return value

    def connect(self) -> psycopg.Connection[Any]:
        """One more direct connection, for tests that hold locks. The caller closes it."""
        return psycopg.connect(self.direct_url, autocommit=True)

    def shift_clock(self, seconds: float) -> None:
        """Move what Postgres' clock() says, forward from where it is."""
        self.connection.execute("update test_clock set shift = shift + make_interval(secs => %s)", [seconds])

    def freeze_clock(self, at: datetime) -> None:
        """From now on clock() is exactly `at`, until it is frozen at another time."""
        if not self._is_frozen:
            self.connection.execute(FROZEN_CLOCK)
            self._is_frozen = True
        self.connection.execute("update frozen_clock set at = %s", [at])

    def statuses(self, drop_id: int) -> dict[str, int]:
        """Reservations of a drop by status."""
        query = "select status, count(*) from reservations where drop_id = %s group by status"
        return {status: count for status, count in self.rows(query, [drop_id])}

    def stock(self, drop_id: int, size: str = "") -> tuple[int, int, int]:
        """(available, held, purchased) of one size, counted from the rows."""
        for row in self.rows(CONSERVED):
            if (row[0], row[1]) == (drop_id, size):
                return row[3], row[4], row[5]
        raise LookupError((drop_id, size))

    def assert_conserved(self) -> None:
        """Promise 1 for every drop and size, and what follows from it, from the rows themselves."""
        for drop_id, size, total, available, held, purchased in self.rows(CONSERVED):
            assert total == available + held + purchased, (drop_id, size, total, available, held, purchased)
        totals = """
            select count(*) from drops d
            where total_stock <> (select sum(z.total_stock) from drop_sizes z where z.drop_id = d.id)
        """
        assert self.value(totals) == 0
        assert self.value("select count(*) from stock_stripes where available < 0") == 0
        bought = "select count(*) from reservations where status = 'PURCHASED'"
        assert self.value(bought) == self.value("select count(*) from purchases")
        assert self.value("select count(*) - count(distinct reservation_id) from purchases") == 0
