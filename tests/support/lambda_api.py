"""API Gateway's part for a build: one port, the routes of the template, HTTP requests as events and answers as HTTP."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from dev.ports import HOST
from tests.support.lambda_runtime import Functions, http_event, schedule_event

# API Gateway writes these itself.
_OWN = {"content-length", "connection", "transfer-encoding"}
# The clock has no address on AWS: a stand-in, so that a test can make it strike over HTTP.
CLOCK = "/api/cron/reap"


class LambdaApi:
    """Serves `functions` until stop(). An instance takes one event at a time, as on Lambda; here each has one."""

    def __init__(self, functions: Functions, cron_secret: str) -> None:
        self.functions = functions
        self.cron_secret = cron_secret
        self._locks = {name: threading.Lock() for name in functions.built.template.functions}
        self._server = ThreadingHTTPServer((HOST, 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        http = event["requestContext"]["http"]
        clock = http["path"] == CLOCK and event["headers"].get("authorization") == f"Bearer {self.cron_secret}"
        name = "Sweep" if clock else self.functions.built.template.function_for(http["method"], http["path"])
        with self._locks[name]:
            answer = self.functions[name].invoke(schedule_event() if clock else event)
        if answer.failed:
            return {"statusCode": 500, "body": json.dumps(answer.body)}
        return {"statusCode": 200, "body": json.dumps(answer.body)} if clock else dict(answer.body)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(api: LambdaApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            target = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            path = unquote(target.path)
            answer = api.answer(http_event(self.command, path, body or None, query=target.query, headers=headers))
            content = answer.get("body", "")
            data = base64.b64decode(content) if answer.get("isBase64Encoded") else content.encode()
            self.send_response(answer["statusCode"])
            for name, value in answer.get("headers", {}).items():
                if name not in _OWN:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
