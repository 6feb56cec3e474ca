"""Where a function's processor time goes: py-spy's samples of the running server, sorted into parts."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.bench.stack import Server

SAMPLES_PER_SECOND = 200
# The first part, seen from the innermost frame outward, whose words are in a frame of the sample. A frame is
# "function (file:line)"; what a library does for us counts as the part that called it.
PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("events", ("lib/events.py", "lib/realtime.py", "pusher/", "requests/", "urllib3/")),
    ("database", ("lib/db.py", "lib/pool.py", "psycopg/", "lib/inventory.py", "bare_warm.py", "classic.py")),
    ("log", ("logging/", "lib/trace.py")),
    (
        "JSON",
        (
            *("json_response", "problem_response", "cached_response", "serialize_response"),
            *("dump_json", "render (starlette", "json/"),
        ),
    ),
    ("validation", ("solve_dependencies", "request_body_to_args", "_validate_value", "pydantic/")),
    ("our layers", ("lib/http.py",)),
    ("threads", ("concurrent/futures", "threading.py", "anyio/", "starlette/concurrency.py")),
    ("framework", ("fastapi/", "starlette/")),
    ("server", ("uvicorn/", "h11/", "asyncio/", "selectors.py", "httptools", "tests/bench/server.py")),
)
OTHER = "other"
NOT_SAMPLED = "not sampled: py-spy is missing (make bench installs it), or may not trace processes here"


def part_of(stack: list[str]) -> str:
    """The part of one sample, whose frames run from the outermost to the innermost."""
    # Work in a background thread for the channel is events, whatever library it is in at that instant.
    if any(word in frame for frame in stack for word in PARTS[0][1][:2]):
        return "events"
    for frame in reversed(stack):
        for part, words in PARTS:
            if any(word in frame for word in words):
                return part
    return OTHER


def sorted_into_parts(collapsed: str) -> Counter[str]:
    """Samples by part, from py-spy's raw format: `frame;frame;frame count` a line."""
    found: Counter[str] = Counter()
    for line in collapsed.splitlines():
        frames, _, count = line.rpartition(" ")
        found[part_of(frames.split(";"))] += int(count)
    return found


@contextlib.contextmanager
def sampled(server: Server, to: Path) -> Iterator[Counter[str]]:
    """Samples the server while the block runs; the counter is filled when the block ends.

    `--gil`: of all threads only the one that runs Python; on a busy machine the others look busy too while they wait.
    `--nonblocking`: the server is not paused for a sample. The counter stays empty
    where py-spy is missing, or may not trace processes.
    """
    found: Counter[str] = Counter()
    process = _attach(server, to)
    try:
        yield found
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
    # A run too short for a single sample leaves no file.
    found.update(sorted_into_parts(to.read_text()) if to.exists() else {})


def _attach(server: Server, to: Path) -> subprocess.Popen[str] | None:
    """py-spy, once it samples; None if it cannot."""
    program = Path(sys.executable).with_name("py-spy")
    if not program.exists():
        return None
    command = [
        str(program), "record", f"--pid={server.pid}", "--format=raw", f"--rate={SAMPLES_PER_SECOND}", "--gil",
        "--nonblocking",
        "--full-filenames", "--duration=unlimited", f"--output={to}",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    if any("Sampling process" in line for line in process.stdout):
        return process
    process.wait(30)
    return None
