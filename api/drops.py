"""The drops: what viewers see, and what the shop does with them."""

import hashlib
import logging
from typing import Annotated, Literal

from fastapi import BackgroundTasks, Header, Query, Request, Response
from pydantic import Field, TypeAdapter

from lib import errors, events, inventory, trace
from lib.auth import REFUSALS, Admin
from lib.fields import MAX_ID, Digits, PathId
from lib.http import NOT_MODIFIED, REPLAYED, cached_response, json_response, make_app, problems
from lib.models import Drop, DropCreated, DropResponse
from lib.records import Drop as DropRecord
from lib.settings import settings
from lib.shop_bodies import CreateDropRequest, RestockRequest, UpdateDropRequest

app = make_app()

_DROPS = TypeAdapter(list[Drop])
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255, pattern="^[!-~ ]+$")]


@app.get("/api/drops", response_model=list[Drop], responses={**NOT_MODIFIED, **problems()})
def list_drops(
    request: Request,
    tasks: BackgroundTasks,
    status: Literal["live", "upcoming", "ended", "all"] = "live",
    limit: Annotated[int, Field(ge=1, le=100), Digits, Query()] = 50,
    after: Annotated[PathId | None, Query(description="The last id of the page before.")] = None,
) -> Response:
    """Drops, newest first; the next page's address is in the Link header."""
    found = inventory.list_drops(status, limit + 1, after or MAX_ID)
    page = found[:limit]
    links = {}
    if len(found) > limit:
        links["Link"] = f'</api/drops?status={status}&limit={limit}&after={page[-1].id}>; rel="next"'
    _tidy_later(tasks, page)
    return cached_response(request, _DROPS.dump_json([Drop.of(drop) for drop in page], by_alias=True), links)


@app.get("/api/drops/{drop_id}", response_model=Drop, responses={**NOT_MODIFIED, **problems(errors.DropNotFound)})
def get_drop(drop_id: PathId, request: Request, tasks: BackgroundTasks) -> Response:
    """One drop with its live stock."""
    drop = inventory.get_drop(drop_id)
    _tidy_later(tasks, [drop])
    return cached_response(request, Drop.of(drop).model_dump_json(by_alias=True).encode())


@app.post(
    "/api/drops",
    status_code=201,
    response_model=DropCreated,
    dependencies=[Admin],
    responses=problems(errors.IdempotencyMismatch, *REFUSALS, has_body=True),
)
def create_drop(body: CreateDropRequest, tasks: BackgroundTasks, idempotency_key: IdempotencyKey = None) -> Response:
    """Make a drop. With an Idempotency-Key, repeating the request makes no second one."""
    drop_id, replayed = inventory.create_drop(
        name=body.name,
        price=body.price,
        sizes=body.stock_by_size(),
        currency=body.currency,
        image_url=body.image_url,
        start=body.drop_start_time,
        end=body.drop_end_time,
        hold_seconds=body.hold_seconds,
        max_per_user=body.max_per_user,
        idempotency_key=idempotency_key,
        request_hash=_hash(body.model_dump_json()),
    )
    tasks.add_task(events.deliver_later)
    answer = DropCreated(message="Drop created", drop=Drop.of(inventory.get_drop(drop_id)))
    return json_response(answer, 201, REPLAYED if replayed else None, tasks)


@app.patch(
    "/api/drops/{drop_id}",
    response_model=DropResponse,
    dependencies=[Admin],
    responses=problems(errors.DropNotFound, errors.DropCancelled, *REFUSALS, has_body=True),
)
def update_drop(drop_id: PathId, body: UpdateDropRequest, tasks: BackgroundTasks) -> Response:
    """Change a drop, pause it, open it again or cancel it. Live holds remain good, unless it is cancelled."""
    drop = inventory.update_drop(drop_id, body.changes())
    tasks.add_task(events.deliver_later)
    return json_response(DropResponse(drop=Drop.of(drop)), tasks=tasks)


@app.post(
    "/api/drops/{drop_id}/restock",
    response_model=DropResponse,
    dependencies=[Admin],
    responses=problems(
        errors.DropNotFound,
        errors.SizeRequired,
        errors.UnknownSize,
        errors.StockCommitted,
        errors.IdempotencyMismatch,
        *REFUSALS,
        has_body=True,
    ),
)
def restock(
    drop_id: PathId, body: RestockRequest, tasks: BackgroundTasks, idempotency_key: IdempotencyKey = None
) -> Response:
    """Add units, or take away units that are on sale. With an Idempotency-Key, repeating it moves none twice."""
    drop, replayed = inventory.restock(
        drop_id, body.quantity, body.size, idempotency_key=idempotency_key, request_hash=_hash(f"{drop_id} {body!r}")
    )
    tasks.add_task(events.deliver_later)
    return json_response(DropResponse(drop=Drop.of(drop)), 200, REPLAYED if replayed else None, tasks)


def _hash(request: str) -> str:
    return hashlib.sha256(request.encode()).hexdigest()


def _tidy_later(tasks: BackgroundTasks, drops: list[DropRecord]) -> None:
    """Whoever sees an overdue hold has it expired after the reply, so that a drop with viewers needs no clock.

    On Lambda the reply would wait for it: there it is left to the sweep, which always runs.
    """
    if not settings().on_lambda and any(drop.overdue for drop in drops):
        tasks.add_task(_expire_and_deliver)


def _expire_and_deliver() -> None:
    """Best effort: whoever looked has the answer, which no failure may spoil any more."""
    # Nor does the time limit of that request bind here.
    token = trace.current.set(None)
    try:
        inventory.expire_due(settings().sweep_batch)
    except errors.Unavailable as error:
        trace.log("drops.expire_failed", level=logging.WARNING, code=error.code)
    finally:
        trace.current.reset(token)
    events.deliver()
