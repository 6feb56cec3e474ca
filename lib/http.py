"""What every function's app has in common: request ids, timing, CORS, body limit, failures as problem+json, ETags."""

import hashlib
import logging
import time
from collections.abc import Sequence
from typing import Any

from fastapi import BackgroundTasks, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lib import errors, trace
from lib.errors import HoldfastError
from lib.headers import add_headers, request_id
from lib.models import Problem
from lib.settings import settings
from lib.workers import WorkerRoute

MAX_BODY_BYTES = 64 * 1024
# One second in a shared cache takes the load of a crowd that reloads; viewers learn what is newer from the channel.
PUBLIC_CACHE = "public, max-age=0, s-maxage=1, stale-while-revalidate=2"
REPLAYED = {"Idempotency-Replayed": "true"}
_ALLOWED = ["Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Request-Id", "Cache-Control"]
_ALLOWED += ["Pragma"]
_EXPOSED = ["X-Request-Id", "Server-Timing", "ETag", "Link", "Retry-After", "Idempotency-Replayed", "Date"]
# Whether, and for how long, a cache had kept the answer.
_EXPOSED += ["Age", "X-Vercel-Cache"]


def make_app() -> FastAPI:
    """The app of one function. Paths are the full public ones: platforms pass the original path through."""
    trace.configure_logging(settings().log_level)
    app = FastAPI(title="Holdfast", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.router.route_class = WorkerRoute
    app.exception_handler(HoldfastError)(_on_holdfast_error)
    app.exception_handler(RequestValidationError)(_on_invalid_request)
    app.exception_handler(HTTPException)(_on_http_exception)
    # What is added later is further out.
    app.add_middleware(Failsafe)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings().allowed_origins,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=_ALLOWED,
        expose_headers=_EXPOSED,
        max_age=600,
    )
    app.add_middleware(Envelope)
    return app


class Envelope:
    """The outermost layer: gives each request its trace, each reply its headers, and each request one log line."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        current = trace.Trace(request_id(headers))
        token = trace.current.set(current)
        # HEAD is GET without the body; servers leave it out by themselves.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        is_answered = False
        trace.requests.enter()

        async def send_with_headers(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                add_headers(MutableHeaders(scope=message), current)
                is_answered = True
                trace.requests.leave()
                _log_request(scope["method"], inner, message["status"], current)
            await send(message)

        try:
            await self._app(inner, _limited(receive, headers), send_with_headers)
        finally:
            if not is_answered:
                trace.requests.leave()
            trace.current.reset(token)


class Failsafe:
    """The innermost layer: what nobody foresaw becomes a problem, inside CORS, so that browsers may read it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def watched_send(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception as error:
            if scope["type"] != "http":
                raise
            trace.log("http.failed", level=logging.ERROR, error=error, path=scope["path"])
            if not answered:
                await problem_response(HoldfastError())(scope, receive, send)


def _log_request(method: str, scope: Scope, status: int, current: trace.Trace) -> None:
    # A refusal is an answer like any other; only what is broken here is a warning.
    trace.requests.add(
        logging.WARNING if status >= 500 else logging.INFO,
        method=method,
        # By which lines can be counted, whatever the ids; null for an address that is no route.
        route=getattr(scope.get("route"), "path", None),
        path=scope["path"],
        status=status,
        outcome=current.outcome,
        ms=round((time.monotonic() - current.started) * 1000, 1),
        databaseMs=round(current.database_ms, 1),
        databaseCalls=current.database_calls,
        retries=current.retries,
        requestId=current.request_id,
    )


def _limited(receive: Receive, headers: Headers) -> Receive:
    """The same body, refused at MAX_BODY_BYTES. As an HTTPException, which FastAPI's body parsing lets through."""
    length = headers.get("content-length", "0")
    too_long = not length.isdecimal() or int(length) > MAX_BODY_BYTES
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if message["type"] == "http.request" and (too_long or received > MAX_BODY_BYTES):
            raise HTTPException(413)
        return message

    return limited


def problem_response(error: HoldfastError, headers: dict[str, str] | None = None) -> Response:
    """RFC 9457, with `error` for the original's clients."""
    current = trace.current.get()
    if current is not None:
        current.outcome = error.code
    problem = Problem(
        type="about:blank",
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        error=error.detail,
        requestId=current.request_id if current is not None else "",
        errors=error.errors,
    )
    extra = dict(headers or {})
    if error.retry_after_seconds is not None:
        extra["Retry-After"] = str(error.retry_after_seconds)
    if error.status == 401:
        extra["WWW-Authenticate"] = "Bearer"
    return Response(
        problem.model_dump_json(by_alias=True, exclude_none=True),
        status_code=error.status,
        media_type="application/problem+json",
        headers=extra,
    )


async def _on_holdfast_error(request: Request, error: HoldfastError) -> Response:
    return problem_response(error)


async def _on_invalid_request(request: Request, error: RequestValidationError) -> Response:
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return problem_response(errors.MalformedJson())
    # Only where and why: what was sent is not repeated.
    listed = [{"field": _field(item["loc"]), "message": _message(item)} for item in found]
    detail = "; ".join(
        f"{item['field']}: {item['message']}" if item["field"] else item["message"] for item in listed[:5]
    )
    return problem_response(errors.ValidationFailed(detail, errors=listed))


def _field(location: Sequence[int | str]) -> str:
    """As the client wrote it; only a path's parameters have no name there but ours."""
    source, *parts = (str(part) for part in location)
    return ".".join(to_camel(part) if source == "path" else part for part in parts)


def _message(item: dict[str, Any]) -> str:
    if item["type"] == "model_attributes_type" or (item["type"] == "missing" and item["loc"] == ("body",)):
        return "the body must be a JSON object, sent with Content-Type: application/json"
    return _MESSAGES.get(item["type"]) or str(item["msg"]).removeprefix("Value error, ")


# Where the library's own words would speak to a Python programmer.
_MESSAGES = {
    "extra_forbidden": "is not a field of this request",
    "missing": "is required",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "string_type": "must be a string",
    "list_type": "must be a list",
}


_BY_STATUS: dict[int, type[HoldfastError]] = {
    400: errors.MalformedJson,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.TooLarge,
}


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    if error.status_code != 405:
        return problem_response(_BY_STATUS.get(error.status_code, HoldfastError)())
    allow = {"Allow": ", ".join(_allowed_methods(request))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=allow)
    return problem_response(errors.MethodNotAllowed(), allow)


def _allowed_methods(request: Request) -> list[str]:
    """All methods of a path; its routes stand one a method."""
    methods = {"OPTIONS"}
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= set(getattr(route, "methods", None) or ())
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def json_response(
    body: BaseModel,
    status: int = 200,
    headers: dict[str, str] | None = None,
    tasks: BackgroundTasks | None = None,
    *,
    exclude_none: bool = False,
) -> Response:
    """A model as JSON, once: FastAPI would validate a returned model again."""
    text = body.model_dump_json(by_alias=True, exclude_none=exclude_none)
    return Response(text, status, headers, "application/json", tasks)


def cached_response(request: Request, body: bytes, headers: dict[str, str] | None = None) -> Response:
    """A public answer with an ETag; 304 to who has it already (RFC 9110 section 13.1.2, weak comparison)."""
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    all_headers = {**(headers or {}), "ETag": tag, "Cache-Control": PUBLIC_CACHE}
    given = ",".join(request.headers.getlist("if-none-match"))
    wanted = [entry.strip().removeprefix("W/") for entry in given.split(",")]
    if tag in wanted or "*" in wanted:
        return Response(status_code=304, headers=all_headers)
    return Response(body, headers=all_headers, media_type="application/json")


NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "What If-None-Match names is still current."}}


def problems(*kinds: type[HoldfastError], has_body: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for the API document; several errors of one status share an entry."""
    always: tuple[type[HoldfastError], ...] = (errors.ValidationFailed, errors.Busy, errors.DatabaseUnavailable)
    if has_body:
        always += (errors.MalformedJson, errors.TooLarge)
    codes: dict[int | str, list[str]] = {}
    kind: type[HoldfastError]
    for kind in (*kinds, *always):
        codes.setdefault(kind.status, []).append(kind.code)
    return {
        status: {
            "description": ", ".join(names),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, names in codes.items()
    }
