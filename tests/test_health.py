"""/api/health tells what is broken from what merely looks like it."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from lib import db, events, inventory
from tests.support.database import Database

Make = Callable[..., Any]


def health(client: httpx2.Client) -> tuple[int, str, list[str]]:
    answer = client.get("/api/health")
    return answer.status_code, answer.json()["status"], answer.json()["problems"]


@pytest.fixture
def leave_event(make_drop: Make) -> Callable[[], int]:
    """Makes a drop, whose event nobody delivers."""
    return lambda: int(make_drop(3))


@pytest.fixture
def leave_hold(make_drop: Make, make_users: Make) -> Callable[[], None]:
    """Makes a hold of one second that nobody sweeps; its events are delivered."""

    def leave() -> None:
        inventory.reserve(make_drop(3, hold_seconds=1), make_users(1)[0], None)
        events.deliver()

    return leave


def test_a_route_that_is_closed_for_want_of_a_setting_is_a_problem(client: httpx2.Client, configure: Make) -> None:
    configure(HOLDFAST_ENV="production", AUTH_MODE="trusted", CRON_SECRET="x")
    assert health(client) == (200, "degraded", ["settings_missing"])
    assert client.get("/api/health").json()["configuration"] == ["ADMIN_TOKEN"]


def test_a_shop_with_fresh_events_and_holds_is_ok(
    client: httpx2.Client, leave_event: Make, leave_hold: Make, database: Database
) -> None:
    leave_hold()
    leave_event()
    database.shift_clock(55)
    assert health(client) == (200, "ok", [])


def test_an_event_that_nobody_delivers_is_a_broken_channel(
    client: httpx2.Client, leave_event: Make, database: Database
) -> None:
    leave_event()
    database.shift_clock(65)
    assert health(client) == (200, "degraded", ["events_stuck"])
    events.deliver()
    assert health(client) == (200, "ok", [])


def test_a_hold_that_nobody_sweeps_is_a_broken_clock(
    client: httpx2.Client, leave_hold: Make, database: Database
) -> None:
    leave_hold()
    database.shift_clock(110)
    assert health(client) == (200, "ok", [])
    database.shift_clock(20)
    assert health(client) == (200, "degraded", ["holds_overdue"])
    inventory.expire_due(100)
    assert "holds_overdue" not in health(client)[2]


def test_both_are_told_at_once(client: httpx2.Client, leave_event: Make, leave_hold: Make, database: Database) -> None:
    leave_hold()
    leave_event()
    database.shift_clock(130)
    assert health(client) == (200, "degraded", ["events_stuck", "holds_overdue"])


def test_a_database_that_is_gone_and_one_whose_address_is_not_known_are_not_the_same(
    client: httpx2.Client, configure: Make
) -> None:
    configure(DATABASE_URL="postgresql://x@no-such-host.invalid/x")
    assert health(client) == (503, "down", ["database_unavailable"])
    configure(DATABASE_URL=None, DATABASE_URL_SECRET="arn:of:a:secret")
    assert health(client) == (503, "down", ["not_configured"])


def test_a_full_pool_is_busy(client: httpx2.Client, database: Database, configure: Make) -> None:
    configure(DATABASE_POOL_MAX="1", DATABASE_TIMEOUT_MS="300")
    with db.pool().connection(db.deadline() + 10):
        assert health(client) == (503, "down", ["busy"])
    assert health(client) == (200, "ok", [])
