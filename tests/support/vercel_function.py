"""One function of a Vercel build, run by the platform's own launcher: its process is told where to connect, starts the
server of `vercel_runtime`, and says on that socket which port it took and what it logs."""

import base64
import json
import os
import queue
import select
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from dev.processes import guard

START_SECONDS = 60.0
CONFIG = ".vc-config.json"


def unpack(folder: Path, function: Path, target: Path) -> dict[str, Any]:
    """Lay out `function` (a .func folder of the build of `folder`) as /var/task would be; its configuration."""
    config: dict[str, Any] = json.loads((function / CONFIG).read_text())
    sources = {name: folder / source for name, source in config.get("filePathMap", {}).items()}
    sources |= {str(f.relative_to(function)): f for f in function.rglob("*") if f.is_file() and f.name != CONFIG}
    for name, source in sources.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source.resolve(), path)
        except OSError:  # another file system
            shutil.copy(source, path)
    return config


class Function:
    """One instance. The constructor returns when the function says that it is ready, as the platform waits for it."""

    def __init__(self, task: Path, config: dict[str, Any], python: Path, environment: dict[str, str]) -> None:
        self.log: list[str] = []
        self.messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        own = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "VERCEL": "1",
            "VERCEL_IPC_PATH": str(task.with_suffix(".sock")),
        }
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A socket's path may have 107 characters only, and a test's folder is long.
        here = os.open(task.parent, os.O_PATH)
        try:
            Path(own["VERCEL_IPC_PATH"]).unlink(missing_ok=True)
            short = f"/proc/self/fd/{here}/{task.name}.sock"
            listener.bind(short)
            listener.listen(1)
            own["VERCEL_IPC_PATH"] = f"../{task.name}.sock"
            self.process = subprocess.Popen(
                [str(python), "-s", "-c", f"import {config['handler'].rpartition('.')[0]}"],
                cwd=task,
                env={**own, **config.get("environment", {}), **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            guard.watch(self.process.pid)
            self.port = self._handshake(listener)
        finally:
            os.close(here)
            listener.close()

    def _handshake(self, listener: socket.socket) -> int:
        """Wait for `server-started`; what fails before that comes as text."""
        give_up = time.monotonic() + START_SECONDS
        threading.Thread(target=self._read_output, daemon=True).start()
        while not select.select([listener], [], [], 0.05)[0]:
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.stop()
                raise RuntimeError("the function did not start:\n" + "\n".join(self.log))
        connection, _ = listener.accept()
        threading.Thread(target=self._read_messages, args=(connection,), daemon=True).start()
        while True:
            message = self.messages.get(timeout=max(0.1, give_up - time.monotonic()))
            if message["type"] == "server-started":
                return int(message["payload"]["httpPort"])
            if message["type"] in ("unrecoverable-error", "closed"):
                self.stop()
                raise RuntimeError(f"the function did not start: {message}\n" + "\n".join(self.log))

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.log.append(line.decode(errors="replace").rstrip())

    def _read_messages(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            rest = b""
            while chunk := stream.read1(65536):
                *whole, rest = (rest + chunk).split(b"\0")
                for text in whole:
                    message = json.loads(text)
                    if message["type"] == "log":
                        self.log += base64.b64decode(message["payload"]["message"]).decode().splitlines()
                    self.messages.put(message)
        self.messages.put({"type": "closed"})

    def stop(self) -> None:
        """End it at once: the platform does not ask either."""
        self.process.kill()
        self.process.wait(10)
        guard.forget(self.process.pid)
