"""What one request carries with it (its id, its start, what it spent), and the JSON log lines."""

import asyncio
import json
import logging
import sys
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Trace:
    """Mutable, so that what a worker thread adds is seen by the request that started it."""

    request_id: str
    started: float = field(default_factory=time.monotonic)
    database_ms: float = 0.0
    database_calls: int = 0
    retries: int = 0
    outcome: str = "ok"


current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def count_retry() -> None:
    """The request asked the database once more."""
    trace = current.get()
    if trace is not None:
        trace.retries += 1


_logger = logging.getLogger("holdfast")


_to_json = json.JSONEncoder(default=str).encode


def _line(created: float, level: str, event: str, fields: dict[str, Any]) -> str:
    return _to_json({"time": round(created, 3), "level": level, "event": event, **fields})


class JsonLine(logging.Formatter):
    """One JSON object a line: time (Unix seconds), level, event (a stable dotted name) and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return _line(record.created, record.levelname, record.getMessage(), fields)


def configure_logging(level: str) -> None:
    """Idempotent: every function module of one process calls it."""
    if _logger.handlers:
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLine())
    _logger.addHandler(handler)
    _logger.setLevel(level)
    _logger.propagate = False


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: Any) -> None:
    """Write one line. Fields hold ids and figures, never a secret, a token or a signed URL."""
    trace = current.get()
    if trace is not None:
        fields.setdefault("requestId", trace.request_id)
    _logger.log(level, event, extra={"fields": fields}, exc_info=error)


class RequestLog:
    """The lines of requests, in one write for those that are answered together.

    A write gives the interpreter to another thread, and in a storm getting it back takes longer than answering. Who is
    alone is written at once; others when the last of them is answered, after MAX_LINES or after MAX_SECONDS.
    """

    MAX_LINES = 32
    MAX_SECONDS = 0.05

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unanswered = 0
        self._lines: list[str] = []

    def enter(self) -> None:
        """A request has come."""
        with self._lock:
            self._unanswered += 1

    def leave(self) -> None:
        """It is answered, or given up."""
        with self._lock:
            self._unanswered -= 1

    def add(self, level: int, **fields: Any) -> None:
        """The line of a request that has left. In the event loop."""
        if not _logger.isEnabledFor(level):
            return
        with self._lock:
            self._lines.append(_line(time.time(), logging.getLevelName(level), "http.request", fields))
            is_first, is_last = len(self._lines) == 1, self._unanswered == 0
        if is_last or len(self._lines) >= self.MAX_LINES:
            self.flush()
        elif is_first:
            asyncio.get_running_loop().call_later(self.MAX_SECONDS, self.flush)

    def flush(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        if lines:
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()


requests = RequestLog()
