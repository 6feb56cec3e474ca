"""Who delivers in a process, for how long, and what it must not forget or sleep through."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lib import events, inventory, realtime, trace
from lib.realtime import Message
from tests.support.database import Database
from tests.support.outbox import buy

Make = Callable[..., Any]
WAITING = "select count(*) from outbox"
ADD_PURCHASE = "insert into outbox (drop_id, kind, payload) values (%s, 'purchase', '{}')"


@pytest.fixture
def published(channel: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What a channel took that always works; the way there is tested in test_events.py."""
    taken: list[Message] = []
    monkeypatch.setattr(realtime, "publish", lambda messages, _: taken.extend(messages))
    return taken


def test_of_calls_at_once_one_delivers_for_all_and_none_is_forgotten(
    published: list[Message], make_drop: Make, database: Database
) -> None:
    drop = make_drop(1)
    courier = events.Courier()

    def tell_and_deliver(_: int) -> None:
        with database.connect() as connection:
            for _ in range(25):
                connection.execute(ADD_PURCHASE, [drop])
                courier.deliver(0)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(tell_and_deliver, range(8)))

    assert database.value(WAITING) == 0
    assert len([message for message in published if message.name == "newPurchase"]) == 200


def test_who_delivers_for_others_ends_at_its_limit(
    published: list[Message], make_drop: Make, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_RUN_SECONDS", 0.5)
    drop = make_drop(1)
    courier = events.Courier()
    first = threading.Thread(target=courier.deliver, args=[0.2])
    others = ThreadPoolExecutor(4)
    first.start()
    ends = time.monotonic() + 2
    while first.is_alive() and time.monotonic() < ends:
        database.connection.execute(ADD_PURCHASE, [drop])
        others.submit(courier.deliver, 0.2)
        time.sleep(0.02)
    ended = not first.is_alive()
    others.shutdown()

    assert ended


def test_word_left_while_the_runner_is_about_to_end_is_taken_over(
    published: list[Message], make_drop: Make, make_users: Make, configure: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that has to wait for the gap, left to a runner that ends before the gap does."""
    monkeypatch.setattr(events, "MAX_RUN_SECONDS", 0.8)
    configure(STOCK_UPDATE_GAP_MS="1000")
    drop = make_drop(9)
    first, second, third = make_users(3)
    courier = events.Courier()
    inventory.reserve(drop, first)
    courier.deliver(0.5)
    inventory.reserve(drop, second)
    runner = threading.Thread(target=courier.deliver, args=[2.0])
    runner.start()
    time.sleep(0.6)
    inventory.reserve(drop, third)
    courier.deliver(2.0)
    runner.join()

    assert [m.data["availableStock"] for m in published if m.name == "stockUpdate"][-1] == 6


def test_a_sold_out_wakes_who_sleeps_until_the_gap_is_over(
    published: list[Message], make_drop: Make, make_users: Make, configure: Make
) -> None:
    configure(STOCK_UPDATE_GAP_MS="60000")
    drop = make_drop(3)
    courier = events.Courier()
    first, second, third = make_users(3)
    inventory.reserve(drop, first)
    courier.deliver(0.5)
    inventory.reserve(drop, second)
    sleeper = threading.Thread(target=courier.deliver, args=[5.0])
    sleeper.start()
    time.sleep(0.3)
    inventory.reserve(drop, third)
    courier.deliver(0)
    sold_out = time.monotonic()
    while not any(message.data.get("availableStock") == 0 for message in published):
        assert time.monotonic() < sold_out + 1
        time.sleep(0.01)
    sleeper.join()


def test_a_sold_out_goes_before_the_purchases_that_wait(
    published: list[Message], make_drop: Make, make_users: Make
) -> None:
    drop = make_drop(3)
    buy(drop, make_users(3))

    events.deliver()

    assert [message.name for message in published if message.channel != "drops"] == [
        "dropChanged",
        "stockUpdate",
        *["newPurchase"] * 3,
    ]


def test_delivery_has_its_own_time_when_the_request_has_used_up_its_own(
    published: list[Message], make_drop: Make, database: Database
) -> None:
    make_drop(1)
    long_ago = trace.Trace("request", started=time.monotonic() - 3600)
    token = trace.current.set(long_ago)
    try:
        events.deliver()
    finally:
        trace.current.reset(token)

    assert database.value(WAITING) == 0


def test_a_call_without_time_left_delivers_what_waits_once(
    published: list[Message], make_drop: Make, database: Database
) -> None:
    make_drop(1)
    events.deliver(0)

    assert database.value(WAITING) == 0


def test_nothing_is_published_on_a_lease_that_may_be_over(
    channel: dict[str, str], make_drop: Make, database: Database, configure: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel that takes 0.3 s a batch, and 10 batches on a lease of one second."""
    configure(EVENT_LEASE_SECONDS="1")
    started: list[float] = []

    def publish_slowly(_: list[Message], seconds: float) -> None:
        started.append(time.monotonic())
        time.sleep(0.3)

    monkeypatch.setattr(realtime, "publish", publish_slowly)
    drop = make_drop(1)
    database.connection.cursor().executemany(ADD_PURCHASE, [[drop]] * 100)
    began = time.monotonic()
    events.Courier().deliver(0)

    assert 1 <= len(started) < 10
    assert started[-1] - began < 1
    assert database.value(WAITING) > 0


@pytest.mark.parametrize(
    ("lease_seconds", "timeout_ms"), [("5", "2000"), ("5", "8000"), ("1", "2000"), ("60", "30000")]
)
def test_what_starts_within_a_lease_ends_within_it(configure: Make, lease_seconds: str, timeout_ms: str) -> None:
    configure(EVENT_LEASE_SECONDS=lease_seconds, PUBLISH_TIMEOUT_MS=timeout_ms)
    last_start = events._lease_is_safe_until()
    now = time.monotonic()

    assert last_start > now
    assert last_start + realtime.timeout_seconds() <= now + float(lease_seconds)


LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "holdfast"}


def _slowly(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[Message]:
    """What a channel took that answers each batch after `seconds`, if it is given as long."""
    taken: list[Message] = []

    def publish(messages: list[Message], most: float) -> None:
        time.sleep(min(seconds, most))
        taken.extend(messages)
        if most < seconds:
            raise realtime.PublishFailed("ReadTimeoutError", on_its_way=True)

    monkeypatch.setattr(realtime, "publish", publish)
    monkeypatch.setattr(events, "_courier", events.Courier())  # nobody has left word for later
    return taken


def test_on_lambda_too_the_clock_delivers_though_a_deadline_is_near(
    channel: dict[str, str], make_drop: Make, database: Database, configure: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's reply waits for a sweep: it has time for a slow channel, whatever a request may spend."""
    configure(**LAMBDA, LAMBDA_DELIVERY_BUDGET_MS="100")
    taken = _slowly(monkeypatch, 0.3)
    make_drop(1)
    assert events.deliver(0.0) == 1
    assert [message.name for message in taken] == ["dropChanged", "dropChanged"]
    assert database.value(WAITING) == 0


def test_on_lambda_a_channel_that_needs_most_of_the_budget_is_waited_for(
    channel: dict[str, str], make_drop: Make, database: Database, configure: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(**LAMBDA, LAMBDA_DELIVERY_BUDGET_MS="2000")
    _slowly(monkeypatch, 1.0)
    make_drop(1)
    assert events.deliver() == 1
    assert database.value(WAITING) == 0


@pytest.mark.parametrize(("budget_ms", "seconds"), [("0", 0.0), ("600", 0.5)])
def test_what_a_request_cannot_send_in_time_is_left_to_others(
    channel: dict[str, str],
    make_drop: Make,
    database: Database,
    configure: Make,
    monkeypatch: pytest.MonkeyPatch,
    budget_ms: str,
    seconds: float,
) -> None:
    configure(**LAMBDA, LAMBDA_DELIVERY_BUDGET_MS=budget_ms)
    taken = _slowly(monkeypatch, seconds)
    drop = make_drop(1)
    database.connection.cursor().executemany(ADD_PURCHASE, [[drop]] * 50)
    sent = events.deliver()
    assert database.value(WAITING) == 51 - sent
    database.shift_clock(events.RETRY_SECONDS + 0.1)  # and not the whole lease
    while database.value(WAITING) > 0:
        assert events.deliver(5.0) > 0
    assert len([message for message in taken if message.name == "newPurchase"]) == 50
