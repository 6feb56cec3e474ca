"""Every function and page on one port, routed as vercel.json says: Vercel's edge, for development."""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dev import routing
from dev.lifespan import LifespanFailed, lifespans
from dev.ports import HOST
from dev.processes import StackError

ROOT = Path(__file__).resolve().parent.parent


def load_functions(names: Iterable[str]) -> dict[str, ASGIApp]:
    """Import api/x.py for each `api/x` and take its `app`, as Vercel's runtime does."""
    apps: dict[str, ASGIApp] = {}
    for name in sorted(names):
        module = importlib.import_module(name.replace("/", "."))
        if not callable(getattr(module, "app", None)):
            raise StackError(f"{name}.py has no top-level `app`, so Vercel would drop it.")
        apps[name] = module.app
    return apps


class Pages(StaticFiles):
    """The files of public/: `/` is index.html, and with clean URLs `/admin` is admin.html."""

    def __init__(self, directory: Path, clean_urls: bool) -> None:
        super().__init__(directory=directory)
        self._clean_urls = clean_urls

    async def find(self, scope: Scope) -> Response | None:
        """The answer for this path, if there is such a file."""
        path = scope["path"]
        # No file is there, and looking would wait for the threads that functions may have taken.
        if scope["method"] not in ("GET", "HEAD") or path.startswith("/api/"):
            return None
        if self._clean_urls and path.endswith(".html") and self.lookup_path(path.lstrip("/"))[1]:
            return RedirectResponse(path.removesuffix(".html").removesuffix("index") or "/", status_code=308)
        candidates = [path, path + "/index.html"] + ([path + ".html"] if self._clean_urls else [])
        for candidate in candidates:
            try:
                response = await self.get_response(candidate.lstrip("/"), scope)
            except HTTPException:
                continue
            # Vercel's default: browsers ask each time, and mostly hear 304.
            response.headers.setdefault("Cache-Control", "public, max-age=0, must-revalidate")
            return response
        return None

    async def missing(self, scope: Scope) -> Response:
        """What Vercel answers where nothing is: 404.html, if there is one."""
        try:
            response = await self.get_response("404.html", {**scope, "method": "GET", "headers": []})
        except HTTPException:
            return PlainTextResponse("Not found\n", status_code=404)
        response.status_code = 404
        return response


class Gateway:
    """The ASGI app. Files first, then functions by their own path, then rewrites: Vercel's order."""

    def __init__(self, root: Path = ROOT, functions: Mapping[str, ASGIApp] | None = None) -> None:
        self.routes = routing.load(root)
        self.functions = load_functions(self.routes.functions) if functions is None else functions
        (root / "public").mkdir(exist_ok=True)
        self.pages = Pages(root / "public", self.routes.clean_urls)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, self._adding_headers(scope["path"], send))
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = await self.pages.find(scope)
        if page is not None:
            await page(scope, receive, send)
            return
        if self.routes.clean_urls and re.fullmatch(r"/api/.+\.py", scope["path"]):
            # The clean URL of a function too; 308 keeps method and body.
            await RedirectResponse(scope["path"].removesuffix(".py"), status_code=308)(scope, receive, send)
            return
        target = self.routes.resolve(scope["path"], scope["query_string"].decode("latin-1"))
        if target is None:
            await (await self.pages.missing(scope))(scope, receive, send)
            return
        # The path stays as the client sent it; only the query gains the parameters.
        inner = {**scope, "query_string": target.query_string.encode("latin-1")}
        await self.functions[target.function](inner, receive, send)

    def _adding_headers(self, path: str, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for key, value in self.routes.headers(path):
                    headers[key] = value
            await send(message)

        return send_with_headers

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with lifespans(self.functions.values()):
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except LifespanFailed as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})


def __getattr__(name: str) -> Gateway:
    """`dev.gateway:app` for uvicorn, made on demand: importing this module alone imports no function."""
    if name != "app":
        raise AttributeError(name)
    return Gateway()


def main() -> None:
    """`python -m dev.gateway PORT`"""
    try:
        gateway = Gateway()
    except StackError as error:
        sys.exit(f"error: {error}")
    config = uvicorn.Config(
        gateway,
        host=HOST,
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    uvicorn.Server(config).run()


def _is_news(record: logging.LogRecord) -> bool:
    """All but the sweep that every stop interrupts: a traceback of that on Ctrl-C would look like a fault."""
    cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cancelled and "timeout graceful shutdown" not in record.getMessage()


if __name__ == "__main__":
    main()
