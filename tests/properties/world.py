"""The machine's world: one database that is emptied between examples, a clock that only the machine moves, the wire."""

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from dev.gateway import Gateway
from lib import db, inventory, realtime
from tests.properties.calls import CRON_SECRET, OverHttp
from tests.properties.model import RATE_LIMIT, RATE_WINDOW
from tests.properties.wire import Wire
from tests.support.buyers import HANG_SECONDS
from tests.support.database import Database

START = datetime(2030, 1, 1, tzinfo=UTC)
ENVIRONMENT = {
    "AUTH_MODE": "trusted",
    "CRON_SECRET": CRON_SECRET,
    "RESERVE_RATE_LIMIT": str(RATE_LIMIT),
    "RESERVE_RATE_WINDOW_SECONDS": str(int(RATE_WINDOW.total_seconds())),
    "SWEEP_BUDGET_SECONDS": "0",
    # After each reply one round of delivery and no waiting: the clock stands still.
    "DELIVERY_BUDGET_MS": "0",
    # A machine that is busy with other tests is no failure.
    "DATABASE_TIMEOUT_MS": str(int(HANG_SECONDS * 1000)),
}
# Where nothing is really published.
CHANNEL = {"PUSHER_APP_ID": "1", "PUSHER_KEY": "machine", "PUSHER_SECRET": "machine"}


@dataclass
class World:
    database: Database
    wire: Wire
    over_http: OverHttp
    # What was done and answered, over all examples: the proof that a run was not empty.
    seen: Counter[str] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    tables: list[str] = field(default_factory=list)

    def reset(self) -> None:
        """Empty every table. Ids go on from where they are, so that none is right by accident."""
        # As a replica, so that no trigger which guards rows is in the way.
        self.database.connection.execute("set session_replication_role = replica")
        self.database.connection.execute(f"truncate {', '.join(self.tables)}")
        self.database.connection.execute("reset session_replication_role")
        self.database.freeze_clock(START)
        self.wire.reset()

    def add_users(self, count: int) -> dict[int, str]:
        query = "insert into users (username) select %s || n from generate_series(1, %s) n returning id, username"
        return dict(self.database.rows(query, [f"machine{next(self.numbers)}-", count]))

    def somebody_waits(self) -> bool:
        """Whether a session waits for another's lock now."""
        return bool(
            self.database.value("""
            select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
        """)
        )


@contextmanager
def world(
    database: Database, configure: Callable[..., None], wire: Wire, channel: dict[str, str] | None = None
) -> Iterator[World]:
    """A world over this test's database. `configure` changes the environment of the functions."""
    database.freeze_clock(START)
    configure(**ENVIRONMENT, **(CHANNEL if channel is None else channel))
    tables = database.rows("""
        select tablename from pg_tables
        where schemaname = 'public' and tablename not in ('schema_migrations', 'test_clock', 'frozen_clock')
    """)
    with pytest.MonkeyPatch.context() as patch, TestClient(Gateway(), base_url="http://localhost") as client:
        patch.setattr(realtime, "publish", wire.publish)
        # A line for each of thousands of requests would bury the failing history.
        patch.setattr(logging.getLogger("holdfast"), "disabled", True)
        # What meets only locked stripes need not be tried for long here: the holder waits for the machine.
        patch.setattr(inventory, "BUSY_ATTEMPTS", 3)
        yield World(database, wire, OverHttp(client), tables=[name for (name,) in tables])
    db.close_pool()
