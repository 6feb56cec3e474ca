"""HTTP load by wrk, with one request for each buyer (load.lua).

Why wrk: the client shares two cores with the server and the database. Of 5,000 posts, wrk took 0.07 ms of processor
time each and autocannon, the best kept one on npm, 0.28 ms, where the server took 1 ms; and autocannon's own garbage
collections are in the latencies it tells. wrk comes from Debian, as PgBouncer does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dev.processes import StackError

SCRIPT = Path(__file__).with_name("load.lua")
GIVE_UP_SECONDS = 110


@dataclass(frozen=True, slots=True)
class Crowd:
    """What one run did. Latencies in ms by percentile, such as latency_ms["99"]; statuses by HTTP status."""

    seconds: float
    requests: int
    statuses: dict[int, int]
    latency_ms: dict[str, float]
    mean_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def p50(self) -> float:
        return self.latency_ms["50"]

    @property
    def p99(self) -> float:
        return self.latency_ms["99"]


def find_wrk() -> str:
    """The program. Raises StackError with the remedy."""
    found = shutil.which("wrk")
    if found is None:
        raise StackError("wrk is missing; install it with: apt-get install wrk, or brew install wrk.")
    return found


def run(
    url: str,
    path: str,
    *,
    count: int,
    connections: int,
    method: str = "POST",
    body: str = '{"userId":N}',
    first: int = 1,
    path_first: int = 0,
    headers: tuple[str, ...] = (),
    expect: tuple[int, ...] = (200, 201),
) -> Crowd:
    """`count` requests over `connections`, each sent when the one before it on its connection is answered.

    N in the body counts up from `first`, M in the path from `path_first`. Raises RuntimeError if any answer has another
    status than those expected, or if one is missing.
    """
    connections = min(connections, count)
    command = [
        find_wrk(), "--threads=1", f"--connections={connections}", f"--duration={GIVE_UP_SECONDS}s", "--timeout=30s",
        f"--script={SCRIPT}", url, "--", method, path, body if method == "POST" else "", str(first), str(path_first),
        str(count), *headers,
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True)
    line = next((text for text in result.stdout.splitlines() if text.startswith("RESULT ")), None)
    if result.returncode != 0 or line is None:
        raise RuntimeError(f"wrk failed on {path}:\n{result.stdout[-1000:]}{result.stderr[-1000:]}")
    found = json.loads(line.removeprefix("RESULT "))
    statuses = {int(status): times for status, times in found["statuses"].items()}
    errors = {key: times for key, times in found.items() if key.endswith("_errors") and times}
    if set(statuses) - set(expect) or sum(statuses.values()) != count or errors:
        raise RuntimeError(f"{path}: {count} requests were answered {statuses}, {errors}; expected {expect}")
    return Crowd(found["duration_us"] / 1e6, count, statuses, found["latency_ms"], found["mean_ms"])
