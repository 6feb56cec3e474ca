"""From the outbox to the channel: lease what waits, publish it, delete what was published.

A publish that fails, or a function killed in between, leaves its events leased; when the lease runs out, the next one
who delivers takes them. So every event arrives at least once, and no sale waits for the channel.
"""

import logging
import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from lib import db, realtime, trace
from lib.errors import Unavailable
from lib.realtime import BATCH_SIZE, Message
from lib.settings import settings

CLAIM_LIMIT = 100
RETRY_SECONDS = 0.5
# A process that is asked again and again goes on delivering for others, but ends before any platform's time limit.
MAX_RUN_SECONDS = 8.0
# Between two claims of one process, whatever news comes in.
MIN_PAUSE_SECONDS = 0.05
# Where a reply waits for the delivery, so much of the budget must be left for a publish to begin. The rest is longer
# than the gap between two updates of a drop.
LEAST_SHARE = 0.4


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


def defer_events(ids: list[int]) -> None:
    """End the leases of these events RETRY_SECONDS from now."""
    db.execute("select defer_events(%(ids)s, %(seconds)s)", {"ids": ids, "seconds": RETRY_SECONDS})


def messages(event: dict[str, Any]) -> list[Message]:
    """Where an event goes. cache-drop-{id} takes only stockUpdate: it replays its last event, of any name."""
    drop_id, data = event["dropId"], event["data"]
    if event["kind"] == "stock":
        return [Message(f"cache-drop-{drop_id}", "stockUpdate", data)]
    if event["kind"] == "purchase":
        return [Message(f"drop-{drop_id}", "newPurchase", data)]
    return [Message(channel, "dropChanged", data) for channel in (f"drop-{drop_id}", "drops")]


@dataclass(frozen=True, slots=True)
class _Window:
    """Until when batches may start, and when they have to be over, in time.monotonic()'s seconds."""

    starts_until: float
    ends_at: float


class Courier:
    """Delivers for the whole process, one thread at a time; who comes meanwhile only leaves word and returns."""

    def __init__(self) -> None:
        self._running = threading.Lock()
        self._successor = threading.Lock()
        self._wanted = threading.Event()
        self._until = 0.0
        self._runs_until = 0.0

    def leave_word(self, budget_seconds: float) -> bool:
        """Ask for what waits now to be delivered; whether somebody is at it who will see to that."""
        self._until = max(self._until, time.monotonic() + budget_seconds)
        self._wanted.set()
        return self._running.locked() and not self._ends_before(budget_seconds)

    def deliver(self, budget_seconds: float, *, reply_waits: bool = False) -> int:
        """Publish until nothing waits, the budget is spent or the channel fails; the number of events published.

        A batch that is on its way when the budget is spent is waited for, but not where a reply waits.
        """
        published = 0
        spared_seconds = LEAST_SHARE * budget_seconds if reply_waits else None
        hard_limit = time.monotonic() + MAX_RUN_SECONDS
        self.leave_word(budget_seconds)
        # Looked at again after the lock is free: word left before that is not lost.
        while self._wanted.is_set() and time.monotonic() < hard_limit and self._take_turn(budget_seconds, hard_limit):
            try:
                self._runs_until = hard_limit
                published += self._drain(hard_limit, spared_seconds)
            finally:
                self._running.release()
        return published

    def _take_turn(self, budget_seconds: float, hard_limit: float) -> bool:
        """Whether it is the caller's turn: nobody delivers, or who does must end soon and nobody else takes over."""
        if self._running.acquire(blocking=False):
            return True
        if not self._ends_before(budget_seconds) or not self._successor.acquire(blocking=False):
            return False
        try:
            return self._running.acquire(timeout=max(0.0, hard_limit - time.monotonic()))
        finally:
            self._successor.release()

    def _ends_before(self, budget_seconds: float) -> bool:
        return self._runs_until <= time.monotonic() + budget_seconds

    def _drain(self, hard_limit: float, spared_seconds: float | None) -> int:
        published = 0
        while True:
            self._wanted.clear()
            window = self._window(hard_limit, spared_seconds)
            # What is leased and cannot be sent would only keep others from it.
            if time.monotonic() >= window.starts_until:
                return published
            lease_limit = _lease_is_safe_until()
            claim = claim_events()
            delivered, failed = _publish(claim.events, min(lease_limit, window.starts_until), window.ends_at)
            published += delivered
            left = min(self._until, window.starts_until) - time.monotonic()
            if failed or left <= 0 or (not claim.events and claim.next_in_ms is None):
                return published
            if claim.next_in_ms:
                self._pause(min(claim.next_in_ms / 1000, left))

    def _window(self, hard_limit: float, spared_seconds: float | None) -> _Window:
        if spared_seconds is None:
            return _Window(hard_limit, math.inf)
        ends_at = min(hard_limit, self._until)
        return _Window(ends_at - spared_seconds, ends_at)

    def _pause(self, seconds: float) -> None:
        """Sleep, but not through a sale that may have sold the drop out: that news does not wait for the gap."""
        time.sleep(min(seconds, MIN_PAUSE_SECONDS))
        if seconds > MIN_PAUSE_SECONDS:
            self._wanted.wait(seconds - MIN_PAUSE_SECONDS)


def _lease_is_safe_until() -> float:
    """Until when a batch of what is claimed now may start, so that it ends within the lease.

    Later, somebody else may have leased and published it again: an old stockUpdate would land on a newer one, and a
    cache channel would replay it to everybody who comes.
    """
    return time.monotonic() + settings().event_lease_seconds - realtime.timeout_seconds()


def _publish(events: list[dict[str, Any]], starts_until: float, ends_at: float) -> tuple[int, bool]:
    """Publish what can start and end in time, and ack; the number published, and whether the channel failed.

    The rest stays leased: for RETRY_SECONDS if nothing of it can be on its way, so that others need not wait for it and
    viewers have it soon after the channel is back; else to the lease's end, because what is on its way must not be
    overtaken.
    """
    done: list[int] = []
    failed = on_its_way = False
    # What is folded goes first: there is little of it, and a long list of purchases must not hold up a sold-out.
    events = sorted(events, key=lambda event: event["kind"] == "purchase")
    try:
        for batch in _batches(events) if realtime.configured() else []:
            now = time.monotonic()
            if now > starts_until:
                break
            realtime.publish([message for event in batch for message in messages(event)], ends_at - now)
            done += [event["id"] for event in batch]
    except realtime.PublishFailed as error:
        failed, on_its_way = True, error.on_its_way
        trace.log("events.publish_failed", level=logging.WARNING, reason=str(error), waiting=len(events) - len(done))
    if settings().awaits_channel:
        return 0, True
    if not realtime.configured():
        # Without a channel nobody can subscribe: clients poll, and the outbox must not grow for ever.
        done = [event["id"] for event in events]
    if done:
        ack_events(done)
    if len(done) < len(events) and not on_its_way:
        defer_events([event["id"] for event in events if event["id"] not in done])
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


def _budget_seconds() -> float:
    s = settings()
    return (s.lambda_delivery_budget_ms if s.on_lambda else s.delivery_budget_ms) / 1000


async def deliver_later() -> None:
    """What a request does after its reply: in a storm it leaves word, which needs no thread."""
    if not _courier.leave_word(_budget_seconds()):
        await run_in_threadpool(deliver)


def deliver(budget_seconds: float | None = None) -> int:
    """Deliver what waits; best effort, never raises for a broken channel or database: the sweep is the guarantee.

    Without `budget_seconds` it follows a request, whose reply waits for it on Lambda.
    """
    reply_waits = budget_seconds is None and settings().on_lambda
    if budget_seconds is None:
        budget_seconds = _budget_seconds()
    # The request this follows has its answer: its time limit does not bind here.
    token = trace.current.set(None)
    try:
        return _courier.deliver(budget_seconds, reply_waits=reply_waits)
    except Unavailable as error:
        trace.log("events.deliver_failed", level=logging.WARNING, code=error.code)
        return 0
    finally:
        trace.current.reset(token)
