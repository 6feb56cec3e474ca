"""What reading a drop with an overdue hold sets off after the reply, and what may not come of it."""

import logging
import time
from collections.abc import Callable

import httpx2
import pytest
from fastapi import BackgroundTasks

from api import drops
from dev.ports import wait_until
from lib import errors, inventory, trace
from tests.support.database import Database

Make = Callable[..., int]
Configure = Callable[..., None]


@pytest.fixture
def overdue(database: Database, make_drop: Make, make_users: Callable[[int], list[int]]) -> int:
    """A drop whose only unit has an overdue hold."""
    drop_id = make_drop(1, hold_seconds=1)
    inventory.reserve(drop_id, make_users(1)[0])
    database.shift_clock(2)
    return drop_id


def test_an_overdue_hold_that_a_viewer_meets_is_expired_after_the_reply(
    client: httpx2.Client, database: Database, overdue: int
) -> None:
    client.get(f"/api/drops/{overdue}")
    assert wait_until(lambda: database.statuses(overdue) == {"EXPIRED": 1}, 10)
    assert database.stock(overdue) == (1, 0, 0)
    assert client.get(f"/api/drops/{overdue}").json()["status"] == "LIVE"


@pytest.mark.parametrize("failure", [errors.Busy, errors.DatabaseUnavailable])
def test_an_expiry_after_the_reply_that_fails_spoils_nothing_and_events_are_delivered(
    client: httpx2.Client,
    database: Database,
    overdue: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: type[errors.Unavailable],
) -> None:
    def fail(_: int) -> None:
        raise failure

    monkeypatch.setattr(inventory, "expire_due", fail)
    monkeypatch.setattr(logging.getLogger("holdfast"), "propagate", True)

    assert client.get(f"/api/drops/{overdue}").status_code == 200
    assert wait_until(lambda: database.value("select count(*) from outbox") == 0, 10)
    assert "http.failed" not in caplog.messages
    assert "drops.expire_failed" in caplog.messages


def test_an_expiry_after_the_reply_has_its_own_time(database: Database, overdue: int) -> None:
    token = trace.current.set(trace.Trace("request", started=time.monotonic() - 3600))
    try:
        drops._expire_and_deliver()
    finally:
        trace.current.reset(token)
    assert database.statuses(overdue) == {"EXPIRED": 1}


def test_on_lambda_no_reply_waits_for_an_expiry(overdue: int, configure: Configure) -> None:
    drop = inventory.get_drop(overdue)
    elsewhere, on_lambda = BackgroundTasks(), BackgroundTasks()
    drops._tidy_later(elsewhere, [drop])
    configure(AWS_LAMBDA_FUNCTION_NAME="drops")
    drops._tidy_later(on_lambda, [drop])
    assert (len(elsewhere.tasks), len(on_lambda.tasks)) == (1, 0)
