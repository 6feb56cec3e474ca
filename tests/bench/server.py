"""`python -m tests.bench.server PORT`: the functions in one uvicorn process, with `bare` and `classic` beside them.

As on the platform, where each function is a process of its own, nothing stands between the server and a function but
the choice by path.
"""

from __future__ import annotations

import sys

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from dev.gateway import load_functions
from dev.npm import ROOT
from dev.ports import HOST
from dev.routing import find_functions
from tests.bench import bare_warm, classic


class Doors:
    """Chooses the function by the first words of the path."""

    def __init__(self) -> None:
        self._by_word: dict[str, ASGIApp] = {"bare": bare_warm.app, "classic": classic.app}
        for name, app in load_functions(find_functions(ROOT / "api")).items():
            self._by_word[name.removeprefix("api/").partition("/")[0]] = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        words = scope["path"].split("/", 3)
        await self._by_word[words[2] if words[1] == "api" else words[1]](scope, receive, send)


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    bare_warm.connect()
    classic.connect()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def main() -> None:
    config = uvicorn.Config(
        Doors(), host=HOST, port=int(sys.argv[1]), log_level="warning", access_log=False, timeout_graceful_shutdown=2,
        backlog=4096,
    )  # fmt: skip
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
