"""Raw HTTP, as no client library would send it."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass

from dev.ports import HOST

ANSWER_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes


def exchange(port: int, *pieces: bytes, half_close: bool = False, pause_seconds: float = 0.0) -> bytes:
    """Send the pieces, one by one, and read until the server closes or has said nothing more for ANSWER_SECONDS."""
    with socket.create_connection((HOST, port), timeout=ANSWER_SECONDS) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_seconds)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except (ConnectionResetError, BrokenPipeError):
            return b""


def request(method: str, path: str, body: bytes = b"", *, headers: tuple[bytes, ...] = (), close: bool = True) -> bytes:
    """The bytes of a request; `headers` are whole lines, in whatever shape."""
    lines = [f"{method} ".encode() + path.encode("utf-8", "surrogatepass") + b" HTTP/1.1", b"Host: shop", *headers]
    if body:
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def replies(raw: bytes) -> list[Reply]:
    """Every whole answer in what came back, in order."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.1 (\d{3})", head)
        assert status, raw[:200]
        length = re.search(rb"(?i)content-length: (\d+)", head)
        size = int(length[1]) if length else len(rest)
        found.append(Reply(int(status[1]), rest[:size]))
        raw = rest[size:]
    return found
