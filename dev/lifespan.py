"""Runs the start-up and shutdown of several ASGI apps as if they were one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Message


class LifespanFailed(Exception):
    """An app refused to start; the text is its own."""


@asynccontextmanager
async def lifespans(apps: Iterable[ASGIApp]) -> AsyncIterator[None]:
    """Start each app, then, at the end, stop them in the opposite order."""
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(_lifespan(app))
        yield


@asynccontextmanager
async def _lifespan(app: ASGIApp) -> AsyncIterator[None]:
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message | None] = asyncio.Queue()
    state: dict[str, Any] = {}
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}

    async def run() -> None:
        # An app that raises here has no lifespan, says the ASGI specification; it runs without one.
        with contextlib.suppress(Exception):
            await app(scope, to_app.get, from_app.put)
        await from_app.put(None)

    task = asyncio.create_task(run())
    await to_app.put({"type": "lifespan.startup"})
    answer = await from_app.get()
    if answer is not None and answer["type"] == "lifespan.startup.failed":
        raise LifespanFailed(answer.get("message", ""))
    try:
        yield
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        await task
