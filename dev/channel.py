"""A subscriber of the Pusher protocol (version 7), as far as a check needs one: public channels, events in order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

PROTOCOL = "protocol=7&client=holdfast&version=1"
OPEN_SECONDS = 10.0


class ChannelClosed(Exception):
    """The server refused or left; the text is its reason."""


def address(realtime: dict[str, Any]) -> str:
    """The WebSocket URL for an answer of GET /api/realtime.

    https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/#websocket-connection
    """
    options = realtime["options"]
    secure = options["forceTLS"]
    host = options.get("wsHost") or f"ws-{options['cluster']}.pusher.com"
    port = (options.get("wssPort") if secure else options.get("wsPort")) or (443 if secure else 80)
    return f"{'wss' if secure else 'ws'}://{host}:{port}/app/{realtime['key']}?{PROTOCOL}"


class Channel:
    """Subscribed to `names` when the constructor returns. Raises ChannelClosed, OSError, TimeoutError."""

    def __init__(self, realtime: dict[str, Any], *names: str) -> None:
        self._socket: ClientConnection = connect(address(realtime), open_timeout=OPEN_SECONDS, proxy=None)
        try:
            self.wait_for(lambda event: event["event"] == "pusher:connection_established", OPEN_SECONDS)
            for name in names:
                self._send("pusher:subscribe", {"channel": name})
                self.wait_for(partial(_is_subscribed, name), OPEN_SECONDS)
        except BaseException:
            self.close()
            raise

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], timeout_seconds: float) -> dict[str, Any]:
        """The next event {event, channel, data} that `wanted` says yes to; those before it are dropped."""
        give_up = time.monotonic() + timeout_seconds
        while True:
            event: dict[str, Any] = json.loads(self._socket.recv(timeout=max(0.0, give_up - time.monotonic())))
            # The protocol wraps data in JSON once more.
            event["data"] = json.loads(event["data"]) if isinstance(event.get("data"), str) else event.get("data")
            if event["event"] == "pusher:error":
                raise ChannelClosed(str(event["data"]))
            if event["event"] == "pusher:ping":
                self._send("pusher:pong", {})
            elif wanted(event):
                return event

    def _send(self, name: str, data: dict[str, Any]) -> None:
        self._socket.send(json.dumps({"event": name, "data": data}))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_subscribed(name: str, event: dict[str, Any]) -> bool:
    return event["event"] == "pusher_internal:subscription_succeeded" and event.get("channel") == name
