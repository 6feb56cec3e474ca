"""What a target of tests/e2e.py stands on: a database and a channel of its own, and clients of both."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2
import psycopg

from dev.ports import HOST, accepts, random_free, wait_until
from dev.postgres import APP_USER
from dev.processes import Child
from tests.e2e import ENVIRONMENT, Target
from tests.support.servers import TEMPLATE, Servers
from tests.support.subscriber import Subscriber

DATABASE_PASSWORD = "e2e-database-password"


@contextmanager
def target_environment(servers: Servers) -> Iterator[dict[str, str]]:
    """The variables of a production deployment: a fresh migrated database behind PgBouncer, and the shared soketi."""
    name = f"target_{os.getpid()}_{random.randrange(10**9)}"
    with psycopg.connect(servers.direct_url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {TEMPLATE}")
        with psycopg.connect(servers.direct_url(name), autocommit=True) as connection:
            # Other tests use the same soketi, and channel names hold drop ids.
            start = random.randrange(10**9, 2 * 10**9)
            connection.execute("select setval(pg_get_serial_sequence('drops', 'id'), %s)", [start])
        try:
            # PgBouncer asks for no password here; that it is there is what a test of the logs needs.
            url = servers.pooled_url(name).replace(f"{APP_USER}@", f"{APP_USER}:{DATABASE_PASSWORD}@")
            yield {**ENVIRONMENT, **servers.pusher_env, "DATABASE_URL": url}
        finally:
            admin.execute(f"drop database {name} with (force)")


@contextmanager
def target_at(url: str, servers: Servers) -> Iterator[Target]:
    """The target that answers at `url`; its subscribers are closed at the end."""
    opened: list[Subscriber] = []

    def subscribe(*channels: str) -> Subscriber:
        opened.append(Subscriber(servers.pusher_env, *channels))
        return opened[-1]

    with httpx2.Client(base_url=url, timeout=60) as client:
        try:
            yield Target(client, subscribe)
        finally:
            for subscriber in opened:
                subscriber.close()


@contextmanager
def gateway_process(environment: dict[str, str], on_line: Callable[[str], None] | None = None) -> Iterator[str]:
    """The gateway of `make dev` as a process of its own; its URL. `on_line` gets what it logs."""
    port = random_free()
    line = [sys.executable, "-m", "dev.gateway", str(port)]
    gateway = Child("gateway", line, env={**os.environ, **environment}, on_line=on_line)
    try:
        wait_until(lambda: accepts(port) or not gateway.is_running(), 60)
        assert gateway.is_running(), gateway.last_words()
        yield f"http://{HOST}:{port}"
    finally:
        gateway.stop()
