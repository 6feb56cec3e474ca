"""drop-client.js in a Node process, as a page would run it, and what it showed when."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.node_program import NodeProgram

SCRIPT = Path(__file__).with_name("viewer.mjs")


class Viewer(NodeProgram):
    """Watches one drop through the HTTP API and the channel that it names."""

    def __init__(self, api: str, drop_id: int, **timing_ms: int) -> None:
        self._lines: list[tuple[float, dict[str, Any]]] = []
        super().__init__(SCRIPT, api, str(drop_id), json.dumps(timing_ms))

    def _take(self, line: dict[str, Any]) -> None:
        self._lines.append((time.monotonic(), line))

    def states(self) -> list[str]:
        with self._changed:
            return [line["state"] for _, line in self._lines if "state" in line]

    def views(self) -> list[tuple[float, dict[str, Any]]]:
        """(time.monotonic(), {availableStock, version, status}) of each view, in order."""
        with self._changed:
            return [(at, line) for at, line in self._lines if "version" in line]

    def wait_until(self, reached: Callable[[], bool], what: str, timeout_seconds: float = 20) -> None:
        give_up = time.monotonic() + timeout_seconds
        with self._changed:
            while not reached():
                left = give_up - time.monotonic()
                assert left > 0, f"never came: {what}; the last: {self._lines[-5:]}"
                self._changed.wait(left)

    def stock(self) -> int | None:
        """What it shows now."""
        views = self.views()
        return views[-1][1]["availableStock"] if views else None

    def is_live(self) -> bool:
        return self.states()[-1:] == ["live"]

    def live_since(self) -> float:
        """When (time.monotonic()) it said last that it is live."""
        with self._changed:
            return max(at for at, line in self._lines if line.get("state") == "live")

    def freeze(self) -> None:
        """As a device that sleeps: no timer runs, and nothing is read."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)
