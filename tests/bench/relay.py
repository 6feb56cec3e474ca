"""`python -m tests.bench.relay PORT TARGET_PORT ROUND_TRIP_MS`: a wire to the database that takes its time.

What comes in on one side leaves on the other half a round trip later, in order. Threads, not asyncio: its timers wake
on whole milliseconds, which is as long as the delay itself.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

from dev.npm import ROOT
from dev.ports import HOST, accepts, random_free, wait_until
from dev.processes import StackError, guard

Piece = tuple[float, bytes]


def _read(source: socket.socket, pieces: SimpleQueue[Piece], delay_seconds: float) -> None:
    data = b"-"
    while data:
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        pieces.put((time.monotonic() + delay_seconds, data))


def _write(sink: socket.socket, pieces: SimpleQueue[Piece]) -> None:
    while True:
        due, data = pieces.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)
        except OSError:
            return


def _connect(client: socket.socket, target_port: int, delay_seconds: float) -> None:
    server = socket.create_connection((HOST, target_port))
    for one, other in ((client, server), (server, client)):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pieces: SimpleQueue[Piece] = SimpleQueue()
        threading.Thread(target=_read, args=(one, pieces, delay_seconds), daemon=True).start()
        threading.Thread(target=_write, args=(other, pieces), daemon=True).start()


def main() -> None:
    port, target_port, round_trip_ms = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    with socket.create_server((HOST, port), backlog=256) as listener:
        while True:
            client, _ = listener.accept()
            _connect(client, target_port, round_trip_ms / 2000)


@contextlib.contextmanager
def relayed(target_port: int, round_trip_ms: float) -> Iterator[int]:
    """The port of a relay in a process of its own, stopped at the end."""
    port = random_free()
    command = [sys.executable, "-m", "tests.bench.relay", str(port), str(target_port), str(round_trip_ms)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    guard.watch(process.pid)
    try:
        if not wait_until(lambda: accepts(port) or process.poll() is not None, 15) or process.poll() is not None:
            raise StackError("The relay that delays the way to the database did not start.")
        yield port
    finally:
        process.kill()
        process.wait()
        guard.forget(process.pid)


if __name__ == "__main__":
    main()
