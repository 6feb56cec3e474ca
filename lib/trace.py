"""What one request carries with it (its id, its start, what it spent), and the JSON log lines."""

import json
import logging
import sys
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

_logger = logging.getLogger("holdfast")


class JsonLine(logging.Formatter):
    """One JSON object a line: time (Unix seconds), level, event (a stable dotted name) and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname,
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


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
