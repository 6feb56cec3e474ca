"""A relay between pusher-js and a real soketi that knows what an event is: it can lose, double and reorder events, or
send clients away as the hosted service does."""

import asyncio
import contextlib
import json
import random
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from dev.ports import HOST

# After how many seconds each copy of an event is passed on: [] loses it, [0, 0] doubles it.
Mischief = Callable[[random.Random], list[float]]


def honest(_: random.Random) -> list[float]:
    return [0]


def losing(dice: random.Random) -> list[float]:
    """Every other event."""
    return [0] if dice.random() < 0.5 else []


def doubling(dice: random.Random) -> list[float]:
    """At once, and again within half a second."""
    return [0, dice.uniform(0, 0.5)]


def reordering(dice: random.Random) -> list[float]:
    """Each late by up to the time of three updates of a hot drop."""
    return [dice.uniform(0, 0.75)]


def everything(dice: random.Random) -> list[float]:
    return [dice.uniform(0, 0.75) for _ in range(dice.choice([0, 1, 2]))]


class ChannelProxy:
    """Listens on `port` from the moment it is made until close()."""

    def __init__(self, target: int, seed: int = 0) -> None:
        self.mischief: Mischief = honest
        self.port = 0
        self._target = target
        self._dice = random.Random(seed)
        self._refusal: int | None = None
        self._clients: set[ServerConnection] = set()
        self._late: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(20)

    async def _serve(self, ready: threading.Event) -> None:
        async with serve(self._relay, HOST, 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await self._ended.wait()
            for task in self._late:
                task.cancel()

    async def _relay(self, client: ServerConnection) -> None:
        assert client.request is not None
        if self._refusal is not None:
            return await self._send_away(client, self._refusal)
        self._clients.add(client)
        try:
            async with connect(f"ws://{HOST}:{self._target}{client.request.path}") as server:
                onward = asyncio.create_task(self._pass(client, server.send))
                back = asyncio.create_task(self._pass(server, lambda text: self._misdeliver(client, text)))
                # Whichever end goes first, the other one goes with it.
                _, left = await asyncio.wait([onward, back], return_when=asyncio.FIRST_COMPLETED)
                for task in left:
                    task.cancel()
        except OSError:
            await client.close(1011)
        finally:
            self._clients.discard(client)

    async def _pass(self, source: Any, sink: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in source:
                await sink(text)

    async def _misdeliver(self, client: ServerConnection, text: str) -> None:
        is_protocol = json.loads(text)["event"].startswith("pusher")
        for delay in [0.0] if is_protocol else self.mischief(self._dice):
            if delay == 0:
                await client.send(text)
            else:
                task = asyncio.create_task(self._send_late(client, text, delay))
                self._late.add(task)
                task.add_done_callback(self._late.discard)

    async def _send_late(self, client: ServerConnection, text: str, delay: float) -> None:
        await asyncio.sleep(delay)
        with contextlib.suppress(ConnectionClosed):
            await client.send(text)

    async def _send_away(self, client: ServerConnection, code: int) -> None:
        with contextlib.suppress(ConnectionClosed):
            await client.send(json.dumps({"event": "pusher:error", "data": {"code": code, "message": "refused"}}))
            await client.close(code, "refused")

    def refuse(self, code: int) -> None:
        """Send everybody away with this close code, and whoever comes until admit()."""
        self._refusal = code

        async def send_all_away() -> None:
            for client in list(self._clients):
                await self._send_away(client, code)

        asyncio.run_coroutine_threadsafe(send_all_away(), self._loop).result(10)

    def admit(self) -> None:
        self._refusal = None

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()
