"""A program in Node that tells in lines of JSON what it sees, and ends when its input ends."""

import json
import subprocess
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

from dev.npm import require_node


class NodeProgram(ABC):
    def __init__(self, script: Path, *arguments: str) -> None:
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [require_node(), str(script), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @abstractmethod
    def _take(self, line: dict[str, Any]) -> None:
        """Called with each line, while `_changed` is held."""

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._take(json.loads(line))
                self._changed.notify_all()

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(5)
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
