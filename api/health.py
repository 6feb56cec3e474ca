"""Is the system well."""

import time

from fastapi import Response

from lib import auth, errors, inventory, records
from lib.http import json_response, make_app
from lib.models import AuditHealth, DatabaseHealth, EventsHealth, Health, HoldsHealth
from lib.settings import settings

app = make_app()

# What is older than this was not delivered or swept by anyone: the channel or the clock is broken, though no sale is.
STUCK_EVENT_SECONDS = 60
STUCK_HOLD_SECONDS = 120


@app.get("/api/health", response_model=Health, responses={503: {"model": Health, "description": "Down or damaged."}})
def health() -> Response:
    """200 when the shop is well (status ok) or something needs care (degraded), 503 when nothing works (down) or rows
    are damaged (damaged: sales go on, and somebody has to look before they are believed).

    `problems` says which: database_unavailable, busy or not_configured (the database's secret) where nothing works;
    events_stuck: the channel is broken; holds_overdue: the clock is; settings_missing: `configuration` names settings
    without which some routes are closed; audit_findings: `audit` says in which drops rows contradict each other.
    """
    began = time.monotonic()
    missing = auth.missing()
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
                configuration=missing,
                audit=None,
                commit=settings().vercel_git_commit_sha,
                error=error.detail,
                code=error.code,
            ),
            503,
        )
    problems = [*_problems(found), *(["settings_missing"] if missing else [])]
    is_damaged = "audit_findings" in problems
    return json_response(
        Health(
            status="damaged" if is_damaged else "degraded" if problems else "ok",
            problems=problems,
            database=DatabaseHealth(ok=True, ms=_ms_since(began)),
            events=EventsHealth(waiting=found.events_waiting, oldest_seconds=round(found.oldest_event_seconds, 3)),
            holds=HoldsHealth(overdue=found.overdue_holds, oldest_seconds=round(found.oldest_overdue_seconds, 3)),
            audit=AuditHealth(findings=found.audit_findings, drops=found.audit_drops),
            configuration=missing,
            commit=settings().vercel_git_commit_sha,
        ),
        503 if is_damaged else 200,
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
