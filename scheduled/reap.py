"""The sweep: expires due holds and delivers what is left in the outbox. Garbage collection: no sale depends on it."""

import logging
import time
from datetime import datetime

from lib import audits, events, inventory, trace
from lib.errors import Unavailable
from lib.models import Sweep
from lib.records import Swept
from lib.settings import settings

# While holds are live it looks again at least this often: a hold with a nearer deadline may have been made meanwhile.
MAX_PAUSE_SECONDS = 1.0
# A deadline that has just passed on this process's clock may need an instant more on the database's.
MIN_PAUSE_SECONDS = 0.05
# What a sweep that finds nothing else to do audits before it ends.
MAX_AUDITS = 20
# Audits take one part in so many of a longer sweep's time.
AUDIT_SHARE = 20
# How often events are delivered while batch after batch is due.
TELL_SECONDS = 0.5
# What one sweep spends on old reservations at most: 1 s a minute deletes millions a day.
RETENTION_SECONDS = 1.0


def sweep(budget_seconds: float | None = None) -> Sweep:
    """Sweep until the budget is spent, or until no hold is live and no event waits, so that the database can sleep.

    Runs may overlap, come late or come twice: all harmless.
    """
    until = time.monotonic() + (settings().sweep_budget_seconds if budget_seconds is None else budget_seconds)
    # A sweep lasts longer than any request may: each of its calls has a time limit of its own.
    token = trace.current.set(None)
    try:
        return _sweep_until(until)
    finally:
        trace.current.reset(token)


def _sweep_until(until: float) -> Sweep:
    expired = published = sweeps = 0
    next_due_at: datetime | None = None
    next_audit = 0.0
    inventory.forget_keys()
    _forget_reservations(min(until, time.monotonic() + RETENTION_SECONDS))
    tells_at = 0.0
    while True:
        swept = inventory.expire_due(settings().sweep_batch)
        again_at = min(until, time.monotonic() + _pause_seconds(swept))
        expired += swept.expired
        sweeps += 1
        # While more is due, telling about it takes turns; and it never takes the time of the next deadline.
        if swept.expired < settings().sweep_batch or time.monotonic() >= tells_at:
            published += events.deliver(max(0.0, again_at - time.monotonic()))
            tells_at = time.monotonic() + TELL_SECONDS
        next_due_at = swept.next_due_at
        idle = next_due_at is None and inventory.health().events_waiting == 0
        if time.monotonic() >= next_audit:
            next_audit = _audit(MAX_AUDITS if idle else 1, until)
        if idle or time.monotonic() >= until:
            break
        time.sleep(max(0.0, again_at - time.monotonic()))
    trace.log("sweep.done", expired=expired, published=published, sweeps=sweeps)
    return Sweep(expired=expired, published=published, sweeps=sweeps, next_due_at=next_due_at)


def _audit(drops: int, until: float) -> float:
    """Audit up to so many of the drops that changed, none but the first after `until`; when to go on.

    Both in time.monotonic()'s seconds. One audit ends in audits.TIMEOUT_SECONDS; platforms leave room for that.
    """
    began = time.monotonic()
    try:
        for number in range(drops):
            if number > 0 and time.monotonic() >= until:
                break
            audit = audits.audit_next()
            if audit.findings:
                trace.log("audit.findings", level=logging.ERROR, dropId=audit.drop_id, findings=audit.findings)
            if audit.drop_id is None:
                break
    except Unavailable as error:
        trace.log("audit.failed", level=logging.WARNING, code=error.code)
    took = time.monotonic() - began
    return began + took * AUDIT_SHARE


def _forget_reservations(until: float) -> None:
    """Batch after batch, once at least; what is left is for the next sweep."""
    days = settings().retention_days
    while days is not None and inventory.forget_reservations(days, settings().sweep_batch) is not None:
        if time.monotonic() >= until:
            break


def _pause_seconds(swept: Swept) -> float:
    """Until the next deadline; not at all while a full batch suggests that more is due."""
    if swept.expired >= settings().sweep_batch:
        return 0.0
    if swept.next_due_at is None:
        return MAX_PAUSE_SECONDS
    to_deadline = (swept.next_due_at - swept.server_time).total_seconds()
    return min(MAX_PAUSE_SECONDS, max(MIN_PAUSE_SECONDS, to_deadline))
