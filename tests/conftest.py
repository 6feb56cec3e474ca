"""Fixtures: real Postgres behind real PgBouncer, real soketi, every function on one port. Nothing of them is faked."""

import itertools
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx2
import psycopg
import pytest

from dev.gateway import load_functions
from dev.npm import ROOT
from dev.routing import find_functions
from lib import auth, db, events, inventory, realtime
from lib.settings import Settings, settings
from tests.support.database import Database
from tests.support.issuer import Issuer, running_issuer
from tests.support.issuer import settings as issuer_settings
from tests.support.servers import TEMPLATE, Gateway, Servers, ServerSet, to_workerinput, with_channel
from tests.support.subscriber import Subscriber

# Before any test changes the environment: what a function settles when it starts, such as CORS, is development's.
load_functions(find_functions(ROOT / "api"))

# What decides who may do what; no test inherits any of it.
IDENTITY = [name.upper() for name in Settings.model_fields if name.startswith("auth_")]

_started = pytest.StashKey[tuple[ServerSet, Servers]]()
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """The controller (or the only process) starts the servers; workers are told where they are."""
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        server_set = ServerSet()
        config.stash[_started] = (server_set, server_set.start())


def pytest_configure_node(node: Any) -> None:
    node.workerinput["servers"] = to_workerinput(node.config.stash[_started][1])


def pytest_unconfigure(config: pytest.Config) -> None:
    if _started in config.stash:
        config.stash[_started][0].stop()


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[Servers]:
    """Where the run's Postgres and PgBouncer and this worker's soketi are. No test may stop them."""
    if hasattr(pytestconfig, "workerinput"):
        shared = Servers(**pytestconfig.workerinput["servers"])
    else:
        shared = pytestconfig.stash[_started][1]
    with with_channel(shared) as complete:
        yield complete


def _forget_process_state() -> None:
    """What a process keeps between requests: settings, buyers and keys, connections, the pusher client."""
    with events._courier._running:  # a delivery of the test before must not reach into this one
        settings.cache_clear()
        auth.forget()
        db.close_pool()
        realtime.close()


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """configure(ADMIN_TOKEN="x", CRON_SECRET=None): change the environment of the functions (None unsets)."""

    def change(**variables: str | None) -> None:
        for name, value in variables.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        _forget_process_state()

    yield change
    monkeypatch.undo()
    _forget_process_state()


@pytest.fixture
def database(servers: Servers, configure: Callable[..., None]) -> Iterator[Database]:
    """A fresh migrated database with a clock that can be shifted; the functions of this process use it, pooled."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(servers.direct_url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {TEMPLATE}")
        configure(
            HOLDFAST_ENV="development",
            DATABASE_URL=servers.pooled_url(name),
            DATABASE_URL_UNPOOLED=servers.direct_url(name),
            **dict.fromkeys(("ADMIN_TOKEN", "CRON_SECRET", *IDENTITY, *servers.pusher_env)),
        )
        with psycopg.connect(servers.direct_url(name), autocommit=True) as connection:
            yield Database(servers.pooled_url(name), servers.direct_url(name), connection)
        _forget_process_state()
        admin.execute(f"drop database {name} with (force)")


@pytest.fixture
def channel(database: Database, servers: Servers, configure: Callable[..., None]) -> dict[str, str]:
    """Lets the functions of this test publish to the shared soketi; its PUSHER_ variables.

    Channel names hold drop ids, and soketi remembers those of tests before: ids start where no other test's do.
    """
    database.connection.execute(
        "select setval(pg_get_serial_sequence('drops', 'id'), %s)", [os.getpid() * 1000 + next(_numbers) * 20]
    )
    configure(**servers.pusher_env)
    return servers.pusher_env


@pytest.fixture
def subscribe(channel: dict[str, str]) -> Iterator[Callable[..., Subscriber]]:
    """subscribe("drop-1", ...): a real pusher-js client, subscribed when it returns, closed with the test."""
    opened: list[Subscriber] = []

    def open_one(*channels: str) -> Subscriber:
        opened.append(Subscriber(channel, *channels))
        return opened[-1]

    yield open_one
    for subscriber in opened:
        subscriber.close()


@pytest.fixture
def make_users(database: Database) -> Callable[[int], list[int]]:
    """make_users(n): ids of n new users."""

    def make(count: int) -> list[int]:
        query = "insert into users (username) select %s || n from generate_series(1, %s) n returning id"
        return [row[0] for row in database.rows(query, [f"user{next(_numbers)}-", count])]

    return make


@pytest.fixture
def make_drop(database: Database) -> Callable[..., int]:
    """make_drop(stock=5, sizes=[("8", 3)], hold_seconds=…, …): the id of a drop made through lib.inventory."""

    def make(stock: int = 5, sizes: list[tuple[str, int]] | None = None, **more: Any) -> int:
        values = {"name": "Test drop", "price": Decimal("200.00"), **more}
        return inventory.create_drop(sizes=sizes or [("", stock)], **values)[0]

    return make


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """Every function and page on one port, in this process; it follows `database`, `channel` and `configure`."""
    running = Gateway()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(gateway: Gateway, database: Database) -> Iterator[httpx2.Client]:
    """An HTTP client of the whole API over this test's database."""
    with httpx2.Client(base_url=gateway.url, timeout=30) as http:
        yield http


@pytest.fixture
def issuer(database: Database, configure: Callable[..., None]) -> Iterator[Issuer]:
    """An identity provider whose tokens the functions of this test take, in place of a userId."""
    with running_issuer() as running:
        configure(**issuer_settings(running))
        yield running
