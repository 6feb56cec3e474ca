"""The shop that is fuzzed: every function in a process of its own, on a database and channel of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from tests.chaos.world import Instance
from tests.support.servers import TEMPLATE, ServerSet, with_channel

# One secret for admin and clock: a fuzzer sends one header with everything.
SECRET = "fuzz-secret"
DATABASE = "fuzz"


@dataclass
class Target:
    """Where it is, and what its functions have logged."""

    instance: Instance
    database_url: str
    log_lines: list[str]

    @property
    def url(self) -> str:
        return self.instance.url

    def requests(self) -> int:
        """How many requests its functions have answered."""
        return sum(1 for line in self.log_lines if '"http.request"' in line)

    def unforeseen(self) -> list[str]:
        """Log lines of failures that nobody foresaw."""
        return [line for line in self.log_lines if '"http.failed"' in line or "Traceback" in line]


@contextlib.contextmanager
def running() -> Iterator[Target]:
    servers = ServerSet()
    try:
        with with_channel(servers.start()) as complete:
            with psycopg.connect(complete.direct_url("postgres"), autocommit=True) as admin:
                admin.execute(f"create database {DATABASE} template {TEMPLATE}")
            environment = {
                "HOLDFAST_ENV": "production", "AUTH_MODE": "trusted", "LOG_LEVEL": "INFO",
                "ADMIN_TOKEN": SECRET, "CRON_SECRET": SECRET, "SWEEP_BUDGET_SECONDS": "0", "CORS_ORIGINS": "*",
                "DATABASE_URL": complete.pooled_url(DATABASE), **complete.pusher_env,
            }  # fmt: skip
            lines: list[str] = []
            instance = Instance(environment, on_line=lines.append)
            instance.start()
            try:
                yield Target(instance, complete.direct_url(DATABASE), lines)
            finally:
                instance.kill()
    finally:
        servers.stop()
