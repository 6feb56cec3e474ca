"""A whole Vercel build on one port: the routes as the CLI compiled them, its static files, and its functions, each
started at its first request. The edge's part is played here; rules, launcher and code are the build's own."""

import json
import mimetypes
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import httpx2

from dev.ports import HOST
from tests.support.vercel_function import Function, unpack

# What a proxy answers for itself.
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Route:
    """Where a request goes: a function with the query it sees, a file, or an answer of the edge's own."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    function: str | None = None
    query: str = ""
    file: Path | None = None


class Router:
    """The `routes` of config.json (Build Output API v3), as far as this project's build uses them."""

    def __init__(self, output: Path) -> None:
        config = json.loads((output / "config.json").read_text())
        handles = [i for i, rule in enumerate(config["routes"]) if rule.get("handle")] + [len(config["routes"])]
        self._before = config["routes"][: handles[0]]
        self._after = config["routes"][handles[0] + 1 : handles[1]]
        functions = output / "functions"
        self.functions = {
            str(f.relative_to(functions).with_suffix("")): f for f in functions.rglob("*.func") if f.is_dir()
        }
        static = output / "static"
        shown = {str(f.relative_to(static)): f for f in static.rglob("*") if f.is_file()}
        renamed = {name: override["path"] for name, override in config.get("overrides", {}).items()}
        self.files = {renamed.get(name, name): file for name, file in shown.items()}

    def route(self, path: str, query: str) -> Route:
        headers: dict[str, str] = {}
        for rule, match in _matching(self._before, path):
            values = {name: _fill(value, match) for name, value in rule.get("headers", {}).items()}
            if "status" in rule:
                return Route(rule["status"], tuple(values.items()))
            headers |= values
        found = tuple(headers.items())
        name = path.strip("/")
        if name in self.files or f"{name}/index".lstrip("/") in self.files:
            return Route(200, found, file=self.files.get(name) or self.files[f"{name}/index".lstrip("/")])
        if name in self.functions:
            return Route(200, found, name, query)
        for rule, match in _matching(self._after, path):
            if "dest" not in rule:
                return Route(rule["status"], found)
            target = urlsplit(_fill(rule["dest"], match))
            return Route(200, found, target.path.strip("/"), _merged(query, target.query))
        return Route(404, found)


def _matching(rules: list[dict[str, Any]], path: str) -> Iterator[tuple[dict[str, Any], re.Match[str]]]:
    for rule in rules:
        match = re.search(rule["src"], path)
        if match:
            yield rule, match


def _fill(text: str, match: re.Match[str]) -> str:
    return re.sub(r"\$(\d)", lambda number: match[int(number[1])] or "", text)


def _merged(query: str, added: str) -> str:
    """The client's own parameters win over the rewrite's: so functions must take ids from the path."""
    own = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    more = {name: unquote(value) for name, value in parse_qsl(added) if name not in own}
    return "&".join(part for part in (query, urlencode(more, quote_via=quote)) if part)


class Site:
    """The build in `folder` on one port, until stop()."""

    def __init__(self, folder: Path, scratch: Path, python: Path, environment: dict[str, str]) -> None:
        self.router = Router(folder / ".vercel" / "output")
        self.started: dict[str, Function] = {}
        self._folder, self._scratch = folder, scratch
        self._python, self._environment = python, environment
        self._lock = threading.Lock()
        self.client = httpx2.Client(timeout=60, limits=httpx2.Limits(max_keepalive_connections=0))
        self._server = ThreadingHTTPServer((HOST, 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"

    def function(self, name: str) -> Function:
        """The running instance of a function; a cold start the first time."""
        with self._lock:
            if name not in self.started:
                task = self._scratch / name.replace("/", "-")
                config = unpack(self._folder, self.router.functions[name], task)
                self.started[name] = Function(task, config, self._python, self._environment)
            return self.started[name]

    def log(self) -> str:
        return "\n".join(line for function in self.started.values() for line in function.log)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.client.close()
        for function in self.started.values():
            function.stop()


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, query = self.path.partition("?")
            route = site.router.route(path, query)
            headers, answer = dict(route.headers), b""
            status = route.status
            if route.file is not None:
                answer = route.file.read_bytes()
                headers["Content-Type"] = mimetypes.guess_type(route.file.name)[0] or "application/octet-stream"
            elif route.function is not None:
                status, headers, answer = self._invoke(route, path, body)
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        def _invoke(self, route: Route, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
            assert route.function is not None
            port = site.function(route.function).port
            sent = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            sent |= {"x-vercel-id": "fra1::iad1::test-1", "x-vercel-internal-invocation-id": "1"}
            url = f"http://{HOST}:{port}{path}" + (f"?{route.query}" if route.query else "")
            answer = site.client.request(self.command, url, headers=sent, content=body or None)
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            return answer.status_code, {**kept, **dict(route.headers)}, answer.content

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

        def log_message(self, *_: object) -> None:
            """Silent: a failing test shows what it got."""

    return Handler
