"""Servers that fall silent, networks that break, and what tests of outages ask."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from dev.ports import HOST
from tests.support.database import Database


class Proxy:
    """A TCP relay to a server, and what a network can do to it: fall silent, break, or forget its connections."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._passing = threading.Event()
        self._passing.set()
        self._broken = False
        self._to_lose = 0
        self._stranded: set[socket.socket] = set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server((HOST, 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                try:
                    if self._broken:
                        raise ConnectionRefusedError
                    far = socket.create_connection((HOST, self._target))
                except OSError:
                    reset(near)
                    continue
                self._sockets += [near, far]
                for source, sink, answers in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._relay, args=(source, sink, answers), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._passing.wait()
                if answers and self._to_lose > 0:
                    self._to_lose -= 1
                    return reset(sink)
                if source not in self._stranded:
                    sink.sendall(data)
            if source not in self._stranded:
                sink.shutdown(socket.SHUT_WR)

    def silence(self) -> None:
        """Nothing passes until resume(); then everything does, as TCP sends again what got lost."""
        self._passing.clear()

    def resume(self) -> None:
        self._broken = False
        self._passing.set()

    def break_off(self) -> None:
        """Connections are reset, and new ones too until resume()."""
        self._broken = True
        self._forget(reset)

    def lose_answers(self, count: int) -> None:
        """The requests of the next `count` answers are carried out, and the answers get lost with their connections."""
        self._to_lose = count

    def strand(self) -> None:
        """The connections of now never pass anything again, and nobody is told; new ones do pass."""
        self._forget(self._stranded.add)

    def _forget(self, how: Callable[[socket.socket], None]) -> None:
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            how(each)

    def close(self) -> None:
        self.resume()
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in [self._listener, *self._sockets, *self._stranded]:
            each.close()


def reset(connection: socket.socket) -> None:
    """Close with RST, as a peer does that has gone."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)  # wakes the thread that reads it
    connection.close()


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(256)
        accepted: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in accepted:
            connection.close()


def name_of(url: str) -> str:
    """The database of a connection URL."""
    return urlsplit(url).path[1:]


def waiting_backends(database: Database) -> list[int]:
    """The processes that wait for a lock in this database."""
    query = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    return [pid for (pid,) in database.rows(query)]
