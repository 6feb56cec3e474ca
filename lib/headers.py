"""The headers of every answer: its id, its timing, and what browsers may do with it."""

import random
import re
import time

from starlette.datastructures import Headers, MutableHeaders

from lib import trace
from lib.settings import settings

# No answer of ours is a page or a part of one, but for the documentation, which says what it needs. Sent from here, so
# that every platform sends them; the pages' own are in vercel.json.
SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
# Two years, as Vercel says it by itself for what it serves.
HSTS = "max-age=63072000"


def request_id(headers: Headers) -> str:
    """The caller's or the platform's id if it is harmless in a header and in a log, else a new one."""
    for name in ("x-request-id", "x-vercel-id", "x-amzn-trace-id"):
        value = headers.get(name, "")
        if re.fullmatch(r"[A-Za-z0-9._:;=-]{1,128}", value):
            return value
    # Not uuid4: its system call gives the interpreter away to another thread, and getting it back takes longer.
    return f"{random.getrandbits(128):032x}"


def add_headers(headers: MutableHeaders, current: trace.Trace) -> None:
    total_ms = (time.monotonic() - current.started) * 1000
    headers["X-Request-Id"] = current.request_id
    headers["Server-Timing"] = f"db;dur={current.database_ms:.1f}, total;dur={total_ms:.1f}"
    headers.setdefault("Cache-Control", "no-store")
    for name, value in SAFETY.items():
        headers.setdefault(name, value)
    if settings().is_production:
        headers["Strict-Transport-Security"] = HSTS
