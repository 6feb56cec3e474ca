"""A real pusher-js client in a Node process, as the tests see it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.node_program import NodeProgram

SCRIPT = Path(__file__).with_name("subscriber.mjs")


class Subscriber(NodeProgram):
    """Subscribed to `channels` from the moment the constructor returns; collects what arrives, in order.

    Each event is {at (Unix seconds), channel, event, data}; pusher's own events have names with `pusher:`.
    """

    def __init__(self, pusher_env: dict[str, str], *channels: str) -> None:
        self.events: list[dict[str, Any]] = []
        super().__init__(
            SCRIPT, pusher_env["PUSHER_KEY"], pusher_env["PUSHER_HOST"], pusher_env["PUSHER_PORT"], *channels
        )
        self._wait_until_subscribed(channels)

    def subscribe(self, *channels: str) -> None:
        """Subscribe to these too, before it returns."""
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{name}\n" for name in channels))
        self._process.stdin.flush()
        self._wait_until_subscribed(channels)

    def _wait_until_subscribed(self, channels: tuple[str, ...]) -> None:
        for name in channels:
            self.wait_for(
                lambda event, name=name: event["event"] == "pusher:subscription_succeeded" and event["channel"] == name,
                20,
            )

    def _take(self, line: dict[str, Any]) -> None:
        self.events.append(line)

    def named(self, name: str) -> list[dict[str, Any]]:
        """The data of all events of this name so far."""
        with self._changed:
            return [event["data"] for event in self.events if event["event"] == name]

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], timeout_seconds: float = 10) -> dict[str, Any]:
        """The first event that `wanted` says yes to, arrived or still to come. Raises TimeoutError."""
        give_up = time.monotonic() + timeout_seconds
        seen = 0
        with self._changed:
            while True:
                for event in self.events[seen:]:
                    if wanted(event):
                        return event
                seen = len(self.events)
                if not self._changed.wait(give_up - time.monotonic()):
                    raise TimeoutError(f"no such event; got {self.events}")
