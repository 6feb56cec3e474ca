"""The real servers that a test run uses: started once by the run's controller, shared by its workers."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psycopg
import uvicorn

from dev.npm import ensure_vendor
from dev.pgbouncer import PgBouncer
from dev.ports import HOST, random_free
from dev.postgres import APP_USER, Postgres
from dev.processes import say
from dev.soketi import Soketi
from lib.migrate import migrate

TEMPLATE = "holdfast_template"

# In tests the SQL function clock() is the real time plus an offset that tests set; production has no such table.
TEST_CLOCK = """
create table test_clock (shift interval not null);
insert into test_clock values (interval '0');
grant select on test_clock to public;
create or replace function clock() returns timestamptz language sql volatile
as $$ select clock_timestamp() + (select shift from test_clock) $$;
"""


@dataclass(frozen=True)
class Servers:
    """Where the shared servers are; plain values, so that the controller can hand them to its workers.

    Without PgBouncer, `pgbouncer_port` is Postgres' own. soketi is each worker's own: all drops are announced on one
    channel, and a test would hear of another's.
    """

    postgres_port: int
    pgbouncer_port: int
    soketi_port: int = 0
    pusher_env: dict[str, str] = field(default_factory=dict)

    def direct_url(self, database: str) -> str:
        return f"postgresql://postgres@{HOST}:{self.postgres_port}/{database}"

    def pooled_url(self, database: str) -> str:
        """As functions log in: with the rights of holdfast_app. `direct_url` is the owner's."""
        return f"postgresql://{APP_USER}@{HOST}:{self.pgbouncer_port}/{database}"


class ServerSet:
    """Starts and stops them."""

    def __init__(self) -> None:
        ensure_vendor()
        self._folder = tempfile.TemporaryDirectory(prefix="holdfast-tests-")
        # What a crash of the machine would lose does not matter here; a crash of Postgres loses nothing even so.
        settings = {"fsync": "off", "full_page_writes": "off"}
        self.postgres = Postgres(Path(self._folder.name) / "postgres", random_free(), settings)
        self.pgbouncer = PgBouncer(self.postgres, random_free()) if self._has_pgbouncer() else None

    def start(self) -> Servers:
        self.postgres.start()
        if self.pgbouncer is not None:
            self.pgbouncer.start()
        self.postgres.create_database(TEMPLATE)
        migrate(self.postgres.url(TEMPLATE))
        self.postgres.create_app_user()
        with psycopg.connect(self.postgres.url(TEMPLATE), autocommit=True) as connection:
            connection.execute(TEST_CLOCK)
        pooled_port = self.postgres.port if self.pgbouncer is None else self.pgbouncer.port
        return Servers(self.postgres.port, pooled_port)

    @staticmethod
    def _has_pgbouncer() -> bool:
        """Without one the tests use Postgres directly and say so; CI must have it."""
        if PgBouncer.available() or "CI" in os.environ:
            return True
        say("note: no PgBouncer on this machine: the tests use Postgres directly, production uses a pooler")
        say("      to test with one: apt-get install pgbouncer, or brew install pgbouncer")
        return False

    def stop(self) -> None:
        if self.pgbouncer is not None:
            self.pgbouncer.stop()
        self.postgres.stop("immediate")
        self._folder.cleanup()


@contextmanager
def with_channel(shared: Servers) -> Iterator[Servers]:
    """The same servers with a soketi of one's own."""
    with Soketi() as soketi:
        yield replace(shared, soketi_port=soketi.port, pusher_env=soketi.env())


class Gateway:
    """All functions and pages on one port of this process, as `make dev` serves them."""

    def __init__(self) -> None:
        from dev.gateway import app

        self.port = random_free()
        config = uvicorn.Config(app, host=HOST, port=self.port, log_level="warning", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        self._thread.start()
        give_up = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > give_up or not self._thread.is_alive():
                raise RuntimeError("the gateway did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def to_workerinput(servers: Servers) -> dict[str, object]:
    return asdict(servers)
