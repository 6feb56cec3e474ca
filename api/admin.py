"""What the shop's own people read: search, figures, history, who holds, who bought. The console is made of these."""

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from lib import audits, errors, reports, sales_csv
from lib.auth import REFUSALS, Admin
from lib.fields import MAX_ID, Digits, DropStatus, PathId, SearchText
from lib.http import json_response, make_app, problems
from lib.models import Drop
from lib.report_models import (
    DropAudit,
    DropHistory,
    DropsFound,
    DropStats,
    HistoryPoint,
    LiveHold,
    LiveHolds,
    Sale,
    Sales,
)
from lib.settings import settings

app = make_app()

# Platforms that keep an answer before they send it take 4.5 MB (Vercel) or 6 MB (Lambda) of it.
PART_BYTES = 3_000_000

Limit = Annotated[int, Field(ge=1, le=100), Digits, Query()]
After = Annotated[int | None, Field(ge=1, le=MAX_ID), Digits, Query(description="The last id of the page before.")]
PartRows = Annotated[
    int | None,
    Field(ge=1, le=50_000),
    Digits,
    Query(description="Rows of a part; it may have fewer, so that it fits. Default: all."),
]
_REFUSALS = problems(*REFUSALS)
_DROP_REFUSALS = problems(errors.DropNotFound, *REFUSALS)


@app.get("/api/admin/drops", response_model=DropsFound, dependencies=[Admin], responses=_REFUSALS)
def search_drops(
    q: Annotated[SearchText, Query(description="Part of a name, or an id.")] = "",
    status: DropStatus | None = None,
    limit: Limit = 50,
    after: After = None,
) -> Response:
    """Drops of any status, newest first; the next page's address is in the Link header."""
    found = reports.search_drops(q or None, status, limit + 1, after or MAX_ID)
    page = found[:limit]
    links = (
        _next("/api/admin/drops", q=q or None, status=status, limit=limit, after=page[-1].id) if found[limit:] else {}
    )
    return json_response(DropsFound(drops=[Drop.of(drop) for drop in page]), headers=links)


@app.get("/api/drops/{drop_id}/stats", response_model=DropStats, dependencies=[Admin], responses=_DROP_REFUSALS)
def stats(drop_id: PathId) -> Response:
    """A drop's figures at one instant. totalStock is availableStock and the active, overdue and purchased holds."""
    return json_response(DropStats.of(drop_id, reports.stats(drop_id)))


@app.get("/api/drops/{drop_id}/audit", response_model=DropAudit, dependencies=[Admin], responses=_DROP_REFUSALS)
def audit_drop(drop_id: PathId) -> Response:
    """Recompute the drop from its rows. A finding names the row; it also stands in /api/health until it is mended."""
    return json_response(DropAudit.of(drop_id, audits.audit_drop(drop_id)))


@app.get("/api/drops/{drop_id}/history", response_model=DropHistory, dependencies=[Admin], responses=_DROP_REFUSALS)
def history(drop_id: PathId) -> Response:
    """The stock over time, oldest first: some 600 points at most. It begins when the drop was made."""
    return json_response(DropHistory(points=[HistoryPoint.of(sample) for sample in reports.history(drop_id)]))


@app.get("/api/drops/{drop_id}/holds", response_model=LiveHolds, dependencies=[Admin], responses=_DROP_REFUSALS)
def live_holds(drop_id: PathId, limit: Limit = 50, after: After = None) -> Response:
    """Who holds a unit now, who must decide soonest first; the next page's address is in the Link header."""
    found = reports.live_holds(drop_id, limit + 1, after)
    page = found[:limit]
    links = _next(f"/api/drops/{drop_id}/holds", limit=limit, after=page[-1].id) if found[limit:] else {}
    return json_response(LiveHolds(holds=[LiveHold.of(hold) for hold in page]), headers=links)


@app.get("/api/drops/{drop_id}/purchases", response_model=Sales, dependencies=[Admin], responses=_DROP_REFUSALS)
def purchases(drop_id: PathId, limit: Limit = 50, after: After = None) -> Response:
    """Who bought, newest first; the next page's address is in the Link header."""
    found = reports.newest_sales(drop_id, limit + 1, after or MAX_ID)
    page = found[:limit]
    links = _next(f"/api/drops/{drop_id}/purchases", limit=limit, after=page[-1].id) if found[limit:] else {}
    return json_response(Sales(purchases=[Sale.of(sale) for sale in page]), headers=links)


@app.get(
    "/api/drops/{drop_id}/purchases.csv",
    response_class=Response,
    dependencies=[Admin],
    responses={
        200: {"description": "RFC 4180, UTF-8, oldest first.", "content": {"text/csv": {"schema": {"type": "string"}}}},
        **_DROP_REFUSALS,
    },
)
def export_purchases(drop_id: PathId, limit: PartRows = None, after: After = None) -> Response:
    """Who bought, as a file; or, with `limit`, a part of it, with the next part's address in the Link header.

    Parts put together are the file: only one without `after` begins with the names of the columns. Text that a
    spreadsheet would take for a formula has an apostrophe in front.
    """
    headers = {"Content-Disposition": f'attachment; filename="purchases-of-drop-{drop_id}.csv"'}
    begin = sales_csv.header() if after is None else ""
    if limit is not None:
        body, last = _part(reports.sales_by_page(drop_id, after or 0, limit))
        if last is not None and reports.oldest_sales(drop_id, 1, last):
            headers |= _next(f"/api/drops/{drop_id}/purchases.csv", limit=limit, after=last)
        return Response(begin + body, headers=headers, media_type=sales_csv.MEDIA_TYPE)
    if settings().on_lambda:
        message = "is required on this host, which sends no long answers; follow the Link header"
        raise errors.ValidationFailed(f"limit: {message}", errors=[{"field": "limit", "message": message}])
    pages = reports.sales_by_page(drop_id, after or 0)
    # The first page before the answer begins: what is wrong with the request can still be said.
    begin += sales_csv.lines(next(pages, []))
    return StreamingResponse(_stream(begin, pages), headers=headers, media_type=sales_csv.MEDIA_TYPE)


def _part(pages: Iterator[list[reports.Sale]]) -> tuple[str, int | None]:
    """The lines of pages up to PART_BYTES, and the id of the last purchase among them."""
    text, size, last = [], 0, None
    for page in pages:
        text.append(sales_csv.lines(page))
        size += len(text[-1].encode())
        last = page[-1].id
        if size >= PART_BYTES:
            break
    return "".join(text), last


def _stream(begin: str, pages: Iterator[list[reports.Sale]]) -> Iterator[str]:
    yield begin
    for page in pages:
        yield sales_csv.lines(page)


def _next(path: str, **query: str | int | None) -> dict[str, str]:
    """The header that tells where the next page is."""
    given = urlencode({name: value for name, value in query.items() if value is not None})
    return {"Link": f'<{path}?{given}>; rel="next"'}
