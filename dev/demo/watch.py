"""What a viewer of the drop sees meanwhile: events of the channel; without one, the drop itself every second."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx2
from websockets.exceptions import WebSocketException

from dev.channel import Channel, ChannelClosed

LISTEN_SECONDS = 0.5
POLL_SECONDS = 1.0


@dataclass
class Viewer:
    """Follows one drop in a thread of its own, from `start` to `stop`."""

    http: httpx2.Client
    drop: int
    events: Counter[str] = field(default_factory=Counter)
    stock: list[tuple[float, int]] = field(default_factory=list)  # (monotonic, units on sale)
    live: bool = False
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _version: int = -1

    def start(self) -> None:
        reply = self.http.get("/api/realtime")
        channel: Channel | None = None
        if reply.is_success:
            names = [reply.json()["channels"][kind].replace("{id}", str(self.drop)) for kind in ("stock", "drop")]
            with contextlib.suppress(OSError, TimeoutError, ChannelClosed, WebSocketException):
                channel = Channel(reply.json(), *names)
        self.live = channel is not None
        self.look()
        self._thread = threading.Thread(target=self._listen if channel else self._poll, args=(channel,), daemon=True)
        self._thread.start()

    def look(self) -> dict[str, Any]:
        """The drop as GET /api/drops/{id} tells it now."""
        drop: dict[str, Any] = self.http.get(f"/api/drops/{self.drop}", headers={"Cache-Control": "no-cache"}).json()
        if drop["version"] >= self._version:
            self._version = drop["version"]
            self.stock.append((time.monotonic(), drop["availableStock"]))
        return drop

    def stop(self) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join(5)

    def _listen(self, channel: Channel) -> None:
        with channel:
            while not self._done.is_set():
                try:
                    event = channel.wait_for(lambda _: True, LISTEN_SECONDS)
                except TimeoutError:
                    continue
                except (OSError, ChannelClosed, WebSocketException):
                    break
                self._take(event)
        self.live = self._done.is_set()
        self._poll(None)

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "stockUpdate" and event["data"]["version"] > self._version:
            self._version = event["data"]["version"]
            self.stock.append((time.monotonic(), event["data"]["availableStock"]))
        if not event["event"].startswith("pusher"):
            self.events[event["event"]] += 1

    def _poll(self, _: None) -> None:
        while not self._done.wait(POLL_SECONDS):
            with contextlib.suppress(httpx2.TransportError):
                self.look()
