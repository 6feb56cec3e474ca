"""Is the system well."""

import time

from fastapi import Response

from lib import errors, inventory, records
from lib.http import json_response, make_app
from lib.models import AuditHealth, DatabaseHealth, EventsHealth, Health, HoldsHealth
from lib.settings import settings

app = make_app()

# What is older than this was not delivered or swept by anyone: the channel or the clock is broken, though no sale is.
STUCK_EVENT_SECONDS = 60
STUCK_HOLD_SECONDS = 120


@app.get("/api/health", response_model=Health, responses={503: {"model": Health, "description": "No database."}})
def health() -> Response:
    """200 while sales work (status ok, or degraded when events or overdue holds pile up, or while something that an
    audit found stands), 503 when they do not.

    `problems` says which: database_unavailable, busy or not_configured (the database's secret) where nothing works;
    events_stuck: the channel is broken; holds_overdue: the clock is; audit_findings: rows are damaged.
    """
    began = time.monotonic()
    try:
        found = inventory.health()
    except errors.Unavailable as error:
        return json_response(
            Health(
                status="down",
                problems=[error.code],
                database=DatabaseHealth(ok=False, ms=_ms_since(began)),
                events=None,
                holds=None,
                audit=None,
                commit=settings().vercel_git_commit_sha,
                error=error.detail,
                code=error.code,
            ),
            503,
        )
    problems = _problems(found)
    return json_response(
        Health(
            status="degraded" if problems else "ok",
            problems=problems,
            database=DatabaseHealth(ok=True, ms=_ms_since(began)),
            events=EventsHealth(waiting=found.events_waiting, oldest_seconds=round(found.oldest_event_seconds, 3)),
            holds=HoldsHealth(overdue=found.overdue_holds, oldest_seconds=round(found.oldest_overdue_seconds, 3)),
            audit=AuditHealth(findings=found.audit_findings, drops=found.audit_drops),
            commit=settings().vercel_git_commit_sha,
        ),
        exclude_none=True,
    )


def _problems(found: records.Health) -> list[str]:
    limits = {
        "events_stuck": found.oldest_event_seconds > STUCK_EVENT_SECONDS,
        "holds_overdue": found.oldest_overdue_seconds > STUCK_HOLD_SECONDS,
        "audit_findings": found.audit_findings > 0,
    }
    return [problem for problem, broken in limits.items() if broken]


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 2)
