"""A real server of the Pusher protocol: soketi, from npm, on loopback."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dev.npm import soketi_command
from dev.ports import HOST, random_free, wait_until
from dev.processes import Child, StackError

READY_SECONDS = 20.0
RESTART_PAUSE_SECONDS = 0.2
QUICK_DEATHS_MOST = 5
HEALTHY_SECONDS = 5.0


class Soketi:
    """One soketi with one app. If it dies by itself it is started again, until stop() or kill()."""

    def __init__(
        self,
        port: int | None = None,
        app_id: str = "1",
        key: str = "holdfast-key",
        secret: str = "holdfast-secret",  # noqa: S107 - of a server that only loopback reaches
        on_restart: Callable[[str], None] | None = None,
    ) -> None:
        self.port = port or random_free()
        self.app_id, self.key, self.secret = app_id, key, secret
        self.restarts = 0
        self._on_restart = on_restart
        self._folder: Path | None = None
        self._child: Child | None = None
        self._lock = threading.RLock()

    def env(self) -> dict[str, str]:
        """The environment that makes lib.realtime and browsers use this server."""
        return {
            "PUSHER_APP_ID": self.app_id,
            "PUSHER_KEY": self.key,
            "PUSHER_SECRET": self.secret,
            "PUSHER_HOST": HOST,
            "PUSHER_PORT": str(self.port),
            "PUSHER_USE_TLS": "false",
            "PUSHER_CLUSTER": "mt1",
        }

    @property
    def pid(self) -> int:
        """Its process id, another one after a restart; 0 if it is not running."""
        return self._child.pid if self._child is not None else 0

    def is_running(self) -> bool:
        return self._child is not None and self._child.is_running()

    def is_ready(self) -> bool:
        """Whether a WebSocket opens. HTTP proves nothing: a wrong Node answers that, and lets nobody in."""
        nonce = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET /app/{self.key}?protocol=7&client=holdfast&version=1 HTTP/1.1\r\n"
            f"Host: {HOST}:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n\r\n"
        )
        received = b""
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, self.port), timeout=2) as connection,
        ):
            connection.sendall(request.encode())
            while b"connection_established" not in received:
                chunk = connection.recv(4096)
                if not chunk:
                    break
                received += chunk
        return b"connection_established" in received

    def start(self) -> Self:
        """Start, and return when a WebSocket opens. Raises StackError with the end of its log."""
        with self._lock:
            if not self.is_running():
                self._child = self._spawn()
                threading.Thread(target=self._watch, args=(self._child,), name="soketi-watchdog", daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop for good."""
        self._end(lambda child: child.stop(signal.SIGTERM))
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def kill(self) -> None:
        """Kill -9, as a crash, but without the watchdog's help: an outage until start()."""
        self._end(lambda child: child.kill())

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, how: Callable[[Child], object]) -> None:
        with self._lock:
            child, self._child = (
                self._child,
                None,
            )  # first: this is how the watchdog knows that it was asked for
        if child is not None:
            how(child)

    def _spawn(self) -> Child:
        node, server = soketi_command()
        # soketi reads .env from its folder and SOKETI_* from its environment: it gets neither.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "NODE_ENV": "production"}
        child = Child(
            "soketi",
            [node, server, "start", f"--config={self._write_config()}"],
            env=environment,
            cwd=self._folder,
        )
        wait_until(lambda: self.is_ready() or not child.is_running(), READY_SECONDS)
        if not child.is_running() or not self.is_ready():
            child.kill()
            raise StackError(
                f"soketi let nobody connect on port {self.port}. The end of its log:\n{child.last_words()}"
            )
        return child

    def _watch(self, child: Child) -> None:
        quick_deaths = 0
        while True:
            started = time.monotonic()
            self._wait(child)
            quick_deaths = 0 if time.monotonic() - started > HEALTHY_SECONDS else quick_deaths + 1
            if quick_deaths > QUICK_DEATHS_MOST:
                self._tell("soketi died again and again; it is left stopped. Its port may be taken.")
                return
            time.sleep(RESTART_PAUSE_SECONDS)
            with self._lock:
                if self._child is not child:
                    return
                child.kill()
                try:
                    child = self._child = self._spawn()
                except StackError as error:
                    self._child = None
                    self._tell(str(error))
                    return
                self.restarts += 1
            self._tell(f"soketi died by itself and was started again (process {child.pid}).")

    def _wait(self, child: Child) -> None:
        with contextlib.suppress(subprocess.SubprocessError):
            child.wait()

    def _tell(self, message: str) -> None:
        if self._on_restart is not None:
            self._on_restart(message)

    def _write_config(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="holdfast-soketi-"))
        path = self._folder / "config.json"
        path.write_text(json.dumps(self._config(), indent=2))
        path.chmod(0o600)
        return path

    def _config(self) -> dict[str, Any]:
        """All on loopback (soketi's default is to broadcast UDP), with the limits of hosted Pusher."""
        return {
            "host": HOST,
            "port": self.port,
            "metrics.enabled": False,
            "metrics.host": HOST,
            "cluster.address": HOST,
            "cluster.hostname": HOST,
            "cluster.unicast": HOST,
            "cluster.port": self.port,  # UDP; its own, or two servers would take each other for peers
            "eventLimits.maxPayloadInKb": 10,
            "eventLimits.maxBatchSize": 10,
            "eventLimits.maxChannelsAtOnce": 100,
            "channelLimits.maxNameLength": 164,
            "channelLimits.cacheTtl": 1800,
            "shutdownGracePeriod": 0,
            "appManager.array.apps": [
                {
                    "id": self.app_id,
                    "key": self.key,
                    "secret": self.secret,
                    "enabled": True,
                    "maxConnections": -1,
                    "maxBackendEventsPerSecond": -1,
                    "maxClientEventsPerSecond": -1,
                    "maxReadRequestsPerSecond": -1,
                    "enableClientMessages": False,
                    "enableUserAuthentication": False,
                }
            ],
        }
