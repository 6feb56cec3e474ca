"""What a target of tests/e2e.py stands on: a database and a channel of its own, and clients of both."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import psycopg

from tests.e2e import ENVIRONMENT, Target
from tests.support.servers import TEMPLATE, Servers
from tests.support.subscriber import Subscriber


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
            yield {**ENVIRONMENT, **servers.pusher_env, "DATABASE_URL": servers.pooled_url(name)}
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
