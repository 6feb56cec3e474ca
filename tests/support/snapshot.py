"""Lambda's Runtime API as far as SnapStart needs it: initialize, take the snapshot, restore, invoke.

AWS' emulator has no snapshots; the Python client that talks to this is AWS' own."""

import json
import queue
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dev.ports import HOST

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:holdfast"


class RuntimeApi:
    """`snapshot_due` is set once the runtime has run its hooks and waits; then restore(), then invoke()."""

    def __init__(self) -> None:
        self.snapshot_due = threading.Event()
        self._restored = threading.Event()
        self._events: queue.Queue[bytes] = queue.Queue()
        self._answers: queue.Queue[Any] = queue.Queue()
        self._server = ThreadingHTTPServer((HOST, 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"{HOST}:{self._server.server_address[1]}"

    def restore(self) -> None:
        self._restored.set()

    def invoke(self, event: Any) -> Any:
        self._events.put(json.dumps(event).encode())
        return self._answers.get(timeout=30)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self, path: str) -> bytes:
        """What the runtime waits for."""
        if path.endswith("/restore/next"):
            self.snapshot_due.set()
            self._restored.wait(60)
            return b""
        return self._events.get(timeout=60)

    def take(self, body: bytes) -> None:
        self._answers.put(json.loads(body or b"null"))


def _handler(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                body = api.next(self.path)
            except queue.Empty:
                return
            self._reply(200, body)

        def do_POST(self) -> None:
            api.take(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self._reply(202, b"")

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Lambda-Runtime-Aws-Request-Id", str(uuid.uuid4()))
            self.send_header("Lambda-Runtime-Deadline-Ms", "9999999999999")
            self.send_header(
                "Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:123456789012:function:f"
            )
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
