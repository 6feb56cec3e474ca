"""Holdfast on AWS Lambda: one entry for every function, and secrets from Secrets Manager or SSM.

HOLDFAST_FUNCTION names the module that a function serves: `api.reserve`, ..., or `scheduled.reap` for the clock.
Secrets are read once at a cold start; again after the database refused us or we a caller, since they may have been
rotated; and every quarter of an hour, so that a token that was withdrawn stops working.
"""

import importlib
import json
import logging
import math
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from mangum import Mangum

from lib import trace
from lib.errors import Unavailable
from lib.secret_formats import FORMATS
from lib.settings import adopt, settings

# Mangum sends what is not listed as base64, which is right but cannot be read in a log.
TEXT_TYPES = ["text/", "application/json", "application/problem+json"]
# The time limit of a sweep's last round: it may be publishing when its budget ends.
SWEEP_RESERVE_SECONDS = 15.0
MAX_AGE_SECONDS = 900.0
# How soon what could not be read is asked for again, and how often a refusal makes us look for a rotated secret.
RETRY_SECONDS = 5.0
CLOCKS = ("aws.events", "aws.scheduler")
# What a caller may be refused by because it was rotated: the setting that names the secret, and the one it gives.
REFUSING = {"ADMIN_TOKEN_SECRET": "admin_token", "AUTH_JWT_SECRET_ID": "auth_jwt_secret"}

Event = dict[str, Any]


class Context(Protocol):
    """What Lambda tells about an invocation."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


Handler = Callable[[Event, Context], Any]


class UnexpectedEvent(Exception):
    """This function was invoked with something that it does not serve: a wrong trigger. The process goes on."""


class SweepFailed(Exception):
    """The database could not be swept. Counted as an error of the function, which raises the alarm."""


class Secrets:
    """The secrets that this process's settings name. No value of theirs is ever logged or put into an error."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._values: dict[str, dict[str, str]] = {}
        self._read_at: dict[str, float] = {}
        self._refused_at: dict[str, float] = {}

    def names(self) -> list[str]:
        """The settings that name a secret here."""
        return [name for name in FORMATS if getattr(settings(), name.lower())]

    def prepare(self) -> None:
        """Make the clients, which takes a second: before a snapshot, where it costs no buyer's time."""
        for name in self.names():
            self._client(_service(getattr(settings(), name.lower())))

    def refresh(self) -> None:
        """Read what was never read, or is old. What cannot be read leaves what was there before."""
        with self._lock:
            self._read(name for name in self.names() if _age(self._read_at, name) > self._patience(name))

    def read_again(self) -> None:
        """Read all of them now: after a snapshot, which may be days old."""
        with self._lock:
            self._read(self.names())

    def rotated(self, name: str, refused: object) -> bool:
        """Whether the setting that a secret gives is another one than `refused` by now. Looks once in RETRY_SECONDS."""
        with self._lock:
            if name not in self.names():
                return False
            if self._current(name) == refused and _age(self._refused_at, name) > RETRY_SECONDS:
                self._refused_at[name] = time.monotonic()
                self._read([name])
            return self._current(name) != refused

    def _current(self, name: str) -> object:
        return getattr(settings(), next(iter(self._values.get(name, {})), ""), None)

    def _patience(self, name: str) -> float:
        return MAX_AGE_SECONDS if name in self._values else RETRY_SECONDS

    def _read(self, names: Iterable[str]) -> None:
        changed: dict[str, str] = {}
        for name in list(names):
            self._read_at[name] = time.monotonic()
            try:
                values = FORMATS[name](self._fetch(getattr(settings(), name.lower())))
            except Exception as error:
                trace.log("secrets.unreadable", level=logging.ERROR, setting=name, reason=_reason(error))
                continue
            if values != self._values.get(name):
                self._values[name] = values
                changed |= values
        if changed:
            adopt(changed)
            forget_connections()

    def _fetch(self, reference: str) -> str:
        client = self._client(_service(reference))
        if _service(reference) == "secretsmanager":
            return str(client.get_secret_value(SecretId=reference)["SecretString"])
        return str(client.get_parameter(Name=reference, WithDecryption=True)["Parameter"]["Value"])

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            # 0.9 s: only where there is a secret to read.
            import boto3
            from botocore.config import Config

            limits = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 2, "mode": "standard"})
            self._clients[service] = boto3.client(service, config=limits)
        return self._clients[service]


def _age(times: dict[str, float], name: str) -> float:
    return time.monotonic() - times[name] if name in times else math.inf


def _service(reference: str) -> str:
    return "ssm" if reference.startswith("arn:") and reference.split(":")[2] == "ssm" else "secretsmanager"


def _reason(error: Exception) -> str:
    """AWS' code for it, else what kind of error it is; never its text, which may quote the value."""
    response = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


def forget_connections() -> None:
    """Close what was opened with other credentials, or would be dead after a snapshot; only in modules in use."""
    if "lib.db" in sys.modules:
        from lib import db

        db.close_pool()
    if "lib.realtime" in sys.modules:
        from lib import realtime

        realtime.close()


def make_handler(function: str, secrets: Secrets) -> Handler:
    """The Lambda handler of a module; what is slow happens here, before the first event."""
    trace.configure_logging(settings().log_level)
    snapshot = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"
    if snapshot:
        secrets.prepare()
    else:
        secrets.refresh()
    module = importlib.import_module(function)
    if settings().database_url_secret:
        from lib import db

        db.on_authentication_failure = lambda: secrets.rotated("DATABASE_URL_SECRET", settings().database_url)
    if snapshot:
        _prepare_for_snapshot(secrets)
    return _sweeper(module, secrets) if function == "scheduled.reap" else _server(module.app, secrets)


def _prepare_for_snapshot(secrets: Secrets) -> None:
    """Secrets and connections belong to one life of the process, not to the snapshot that many start from."""
    import snapshot_restore_py as hooks

    def restore() -> None:
        random.seed()  # or all that start from one snapshot would choose the same
        secrets.read_again()

    hooks.register_before_snapshot(forget_connections)
    hooks.register_after_restore(restore)


def _server(app: Any, secrets: Secrets) -> Handler:
    adapter = Mangum(app, lifespan="off", text_mime_types=TEXT_TYPES)

    def serve(event: Event, context: Context) -> Any:
        _expect_http(event)
        # The client's own id first; then the one by which Lambda's log lines can be found.
        event["headers"] = {"x-request-id": context.aws_request_id, **event["headers"]}
        secrets.refresh()
        before = {name: getattr(settings(), field) for name, field in REFUSING.items()}
        answer = _adapt(adapter, event, context)
        if answer["statusCode"] == 401 and any([secrets.rotated(name, value) for name, value in before.items()]):
            answer = _adapt(adapter, event, context)
        return answer

    return serve


def _expect_http(event: Event) -> None:
    """Raises UnexpectedEvent unless it is an HTTP API's, payload format 2.0."""
    try:
        http = event["requestContext"]["http"]
        whole = event["version"] == "2.0" and all(isinstance(http[k], str) and http[k] for k in ("method", "path"))
        whole = whole and isinstance(event["headers"], dict)
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise UnexpectedEvent("This function answers events of an HTTP API (payload format 2.0), and this is none.")


def _adapt(adapter: Mangum, event: Event, context: Any) -> Any:
    try:
        return adapter(event, context)
    except Exception as error:
        # The app answers whatever happens inside it: what is left is the event, such as a body that is no base64.
        raise UnexpectedEvent(f"This HTTP event cannot be read ({type(error).__name__}).") from None


def _sweeper(module: Any, secrets: Secrets) -> Handler:
    def sweep(event: Event, context: Context) -> Any:
        if not isinstance(event, dict) or event.get("source") not in CLOCKS:
            raise UnexpectedEvent('This function takes scheduled events, {"source": "aws.events"}, and this is none.')
        secrets.refresh()
        left = context.get_remaining_time_in_millis() / 1000 - SWEEP_RESERVE_SECONDS
        try:
            _log_state(context.aws_request_id)
            swept = module.sweep(max(0.0, min(settings().sweep_budget_seconds, left)))
        except Unavailable as error:
            raise SweepFailed(error.code) from None
        return json.loads(swept.model_dump_json(by_alias=True))

    return sweep


def _log_state(request_id: str) -> None:
    """What is overdue before a sweep has done anything: template.yaml turns this line into metrics and alarms."""
    from lib import inventory

    found = inventory.health()
    trace.log(
        "sweep.started",
        requestId=request_id,
        overdueHolds=found.overdue_holds,
        oldestOverdueSeconds=round(found.oldest_overdue_seconds, 3),
        eventsWaiting=found.events_waiting,
        oldestEventSeconds=round(found.oldest_event_seconds, 3),
    )


def __getattr__(name: str) -> Handler:
    """`lib.aws.handler`, made when Lambda's runtime asks for it: importing this module alone does nothing."""
    if name != "handler":
        raise AttributeError(name)
    handler = globals()["handler"] = make_handler(os.environ["HOLDFAST_FUNCTION"], Secrets())
    return handler
