"""The sweep: expires due holds and delivers what is left in the outbox. Garbage collection: no sale depends on it."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial

from lib import audits, events, inventory, trace
from lib.errors import NotConfigured, Unavailable
from lib.models import Sweep
from lib.records import Swept
from lib.settings import settings

# While holds are live it looks again at least this often: a hold with a nearer deadline may have been made meanwhile.
MAX_PAUSE_SECONDS = 1.0
# A deadline that has just passed on this process's clock may need an instant more on the database's.
MIN_PAUSE_SECONDS = 0.05
# Until the next look after one that failed: the next sweep may be a minute away.
RETRY_SECONDS = 0.5
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

    Runs may overlap, come late or come twice: all harmless. Raises Unavailable if its last look failed.
    """
    until = time.monotonic() + (settings().sweep_budget_seconds if budget_seconds is None else budget_seconds)
    # A sweep lasts longer than any request may: each of its calls has a time limit of its own.
    token = trace.current.set(None)
    try:
        with ThreadPoolExecutor(2, "holdfast-sweep") as threads:
            return _Run(until, threads).sweep()
    finally:
        trace.current.reset(token)


class _Beside:
    """One job at a time beside the expiry, so that neither a slow channel nor a long audit makes a hold end late."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._job: Future[None] | None = None

    def start(self, job: Callable[[], None]) -> None:
        """Unless the last one is still running. Raises what that one raised."""
        if self._job is None or self._job.done():
            self.wait()
            self._job = self._threads.submit(job)

    def wait(self) -> None:
        """Raises what the job raised."""
        job, self._job = self._job, None
        if job is not None:
            job.result()


class _Run:
    """One sweep."""

    def __init__(self, until: float, threads: Executor) -> None:
        self._until = until
        self._telling, self._chores = _Beside(threads), _Beside(threads)
        self._expired = self._published = self._looks = 0
        self._next_due_at: datetime | None = None
        self._tells_at = self._audits_at = 0.0
        self._is_tidy = False

    def sweep(self) -> Sweep:
        while True:
            failure: Unavailable | None = None
            try:
                is_idle, again_at = self._look()
            except NotConfigured:
                raise
            except Unavailable as error:
                failure, is_idle, again_at = error, False, time.monotonic() + RETRY_SECONDS
                trace.log("sweep.interrupted", level=logging.WARNING, code=error.code)
            if is_idle or time.monotonic() >= self._until:
                break
            time.sleep(max(0.0, min(again_at, self._until) - time.monotonic()))
        self._telling.wait()
        self._chores.wait()
        trace.log("sweep.done", expired=self._expired, published=self._published, sweeps=self._looks)
        if failure is not None:
            raise failure
        return Sweep(
            expired=self._expired, published=self._published, sweeps=self._looks, next_due_at=self._next_due_at
        )

    def _look(self) -> tuple[bool, float]:
        """Expire what is due; whether nothing is left to do, and when to look again (time.monotonic())."""
        swept = inventory.expire_due(settings().sweep_batch)
        again_at = min(self._until, time.monotonic() + _pause_seconds(swept))
        self._expired += swept.expired
        self._looks += 1
        self._next_due_at = swept.next_due_at
        # While more is due, telling about it takes turns.
        if swept.expired < settings().sweep_batch or time.monotonic() >= self._tells_at:
            self._telling.start(partial(self._tell, max(0.0, again_at - time.monotonic())))
            self._tells_at = time.monotonic() + TELL_SECONDS
        if swept.next_due_at is None:
            self._telling.wait()
            if inventory.health().events_waiting == 0:
                self._chores.wait()
                self._do_chores(MAX_AUDITS)
                return True, again_at
        self._chores.start(partial(self._do_chores, 1))
        return False, again_at

    def _tell(self, seconds: float) -> None:
        self._published += events.deliver(seconds)

    def _do_chores(self, audits: int) -> None:
        """What no hold waits for; the next sweep does what fails."""
        if not self._is_tidy:
            self._is_tidy = True
            try:
                inventory.forget_keys()
                _forget_reservations(min(self._until, time.monotonic() + RETENTION_SECONDS))
            except Unavailable as error:
                trace.log("sweep.untidy", level=logging.WARNING, code=error.code)
        if time.monotonic() >= self._audits_at:
            self._audits_at = _audit(audits, self._until)


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
