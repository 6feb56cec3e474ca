"""The wire with nothing replaced: what is published goes through soketi, and viewers see what comes out."""

from typing import Any

from lib import realtime
from lib.realtime import Message
from tests.properties.wire import Wire
from tests.support.buyers import wait_until
from tests.support.subscriber import Subscriber

# Taken before any world puts a wire in its place.
_publish = realtime.publish


class RealWire(Wire):
    """`subscriber` is a real pusher-js client; a drop's channels are subscribed to before its first event."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self._channels: set[str] = set()
        self._seen = 0
        super().__init__()

    def _arrive(self, messages: list[Message]) -> None:
        for channel in {message.channel for message in messages} - self._channels:
            self._subscriber.subscribe(channel)
            self._channels.add(channel)
        _publish(messages)
        self.published += len(messages)
        wanted = self._seen + len(messages)
        wait_until(lambda: len(self._received()) >= wanted, "everything published arrives")
        arrived = self._received()[self._seen : wanted]
        self._seen = wanted
        self._show([Message(event["channel"], event["event"], event["data"]) for event in arrived])

    def _received(self) -> list[dict[str, Any]]:
        return [event for event in self._subscriber.events if event["event"][:6] not in ("pusher", "state")]
