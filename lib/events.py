"""From the outbox to the channel: lease what waits, publish it, delete what was published.

A publish that fails, or a function killed in between, leaves its events leased; when the lease runs out, the next one
who delivers takes them. So every event arrives at least once, and no sale waits for the channel.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from lib import db, realtime, trace
from lib.errors import Unavailable
from lib.realtime import BATCH_SIZE, Message
from lib.settings import settings

CLAIM_LIMIT = 100
# A process that is asked again and again goes on delivering for others, but ends before any platform's time limit.
MAX_RUN_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Claim:
    """Leased events [{id, kind, dropId, data}], and in how many ms more can be leased (None: nothing waits)."""

    events: list[dict[str, Any]]
    next_in_ms: int | None


def claim_events() -> Claim:
    s = settings()
    return db.fetch_one(
        Claim,
        "select * from claim_events(%(limit)s, %(lease)s, %(gap)s)",
        {"limit": CLAIM_LIMIT, "lease": s.event_lease_seconds, "gap": s.stock_update_gap_ms},
    )


def ack_events(ids: list[int]) -> None:
    db.execute("select ack_events(%(ids)s)", {"ids": ids})


def messages(event: dict[str, Any]) -> list[Message]:
    """Where an event goes. cache-drop-{id} takes only stockUpdate: it replays its last event, of any name."""
    drop_id, data = event["dropId"], event["data"]
    if event["kind"] == "stock":
        return [Message(f"cache-drop-{drop_id}", "stockUpdate", data)]
    if event["kind"] == "purchase":
        return [Message(f"drop-{drop_id}", "newPurchase", data)]
    return [Message(channel, "dropChanged", data) for channel in (f"drop-{drop_id}", "drops")]


class Courier:
    """Delivers for the whole process, one thread at a time; who comes meanwhile only leaves word and returns."""

    def __init__(self) -> None:
        self._running = threading.Lock()
        self._wanted = threading.Event()
        self._until = 0.0

    def deliver(self, budget_seconds: float) -> int:
        """Publish until nothing waits, the budget is spent or the channel fails; the number of events published."""
        published = 0
        hard_limit = time.monotonic() + MAX_RUN_SECONDS
        self._until = max(self._until, time.monotonic() + budget_seconds)
        self._wanted.set()
        # Looked at again after the lock is free: word left before that is not lost.
        while self._wanted.is_set() and time.monotonic() < hard_limit and self._running.acquire(blocking=False):
            try:
                self._wanted.clear()
                published += self._drain(hard_limit)
            finally:
                self._running.release()
        return published

    def _drain(self, hard_limit: float) -> int:
        published = 0
        while (left := min(self._until, hard_limit) - time.monotonic()) > 0:
            claim = claim_events()
            delivered, failed = _publish(claim.events)
            published += delivered
            if failed or (not claim.events and claim.next_in_ms is None):
                break
            if claim.next_in_ms:
                time.sleep(min(claim.next_in_ms / 1000, left))
        return published


def _publish(events: list[dict[str, Any]]) -> tuple[int, bool]:
    """Publish and ack; the number published, and whether the channel failed (the rest stays leased)."""
    done: list[int] = []
    failed = False
    try:
        for batch in _batches(events) if realtime.configured() else []:
            realtime.publish([message for event in batch for message in messages(event)])
            done += [event["id"] for event in batch]
    except realtime.PublishFailed as error:
        failed = True
        trace.log("events.publish_failed", level=logging.WARNING, reason=str(error), waiting=len(events) - len(done))
    if not realtime.configured():
        # Without a channel nobody can subscribe: clients poll, and the outbox must not grow for ever.
        done = [event["id"] for event in events]
    if done:
        ack_events(done)
    return len(done), failed


def _batches(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Events in their order, in groups of at most BATCH_SIZE messages."""
    batches: list[list[dict[str, Any]]] = []
    room = 0
    for event in events:
        size = len(messages(event))
        if size > room:
            batches.append([])
            room = BATCH_SIZE
        batches[-1].append(event)
        room -= size
    return batches


_courier = Courier()


def deliver(budget_seconds: float | None = None) -> int:
    """Deliver what waits; best effort, never raises for a broken channel or database: the sweep is the guarantee."""
    s = settings()
    if budget_seconds is None:
        budget_seconds = (s.lambda_delivery_budget_ms if s.on_lambda else s.delivery_budget_ms) / 1000
    # The request this follows has its answer: its time limit does not bind here.
    token = trace.current.set(None)
    try:
        return _courier.deliver(budget_seconds)
    except Unavailable as error:
        trace.log("events.deliver_failed", level=logging.WARNING, code=error.code)
        return 0
    finally:
        trace.current.reset(token)
