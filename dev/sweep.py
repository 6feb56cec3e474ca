"""Plays the cron: calls the sweep's door every ten seconds, as Vercel calls it every minute."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable

from dev.ports import HOST

EVERY_SECONDS = 10.0
TIMEOUT_SECONDS = 30.0


class Sweeper:
    """Calls GET /api/cron/reap on a timer. Calls may overlap, as the platform's do; none delays the stop.

    `secret` is asked each time, because it changes with .env.
    """

    def __init__(self, port: int, secret: Callable[[], str], say: Callable[[str], None]) -> None:
        self._port, self._secret, self._say = port, secret, say
        self._stopped = threading.Event()
        self._last_failure = ""

    def start(self) -> None:
        threading.Thread(target=self._tick, name="sweep-timer", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _tick(self) -> None:
        while not self._stopped.is_set():
            threading.Thread(target=self._call, name="sweep", daemon=True).start()
            self._stopped.wait(EVERY_SECONDS)

    def _call(self) -> None:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/api/cron/reap", headers={"Authorization": f"Bearer {self._secret()}"})
            status = connection.getresponse().status
            failure = "" if status == 200 else f"it answered {status}"
        except (OSError, http.client.HTTPException) as error:
            failure = f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        # One line when it starts to fail, one when it is well again; not one every ten seconds.
        if not self._stopped.is_set() and failure != self._last_failure:
            self._say(f"sweep failed: {failure}" if failure else "sweep works again")
        self._last_failure = failure
