"""The identity provider's public keys, by key id: fetched once, kept, and followed when the provider changes them.

A garbled token must not make us call the provider, and a provider that is down must not stop buyers whose keys are
known. So every fetch runs in a thread of its own, one at a time and seldom; only a key that is not known is waited for.
"""

import logging
import math
import threading
import time

from jwt import PyJWK, PyJWKClient

from lib import trace
from lib.errors import IssuerUnavailable

# Known keys are looked up anew after this, so that one which the provider withdrew stops working.
LIFESPAN_SECONDS = 600.0
# While the provider does not answer they go on working for this long.
MAX_STALE_SECONDS = 24 * 3600.0
# Least time between two fetches. Providers publish a key well before they sign with it, so ten seconds delay nobody.
COOLDOWN_SECONDS = 10.0
RETRY_SECONDS = 2.0
FETCH_TIMEOUT_SECONDS = 2.0
# Tokens with unknown keys may wait for a fetch, but not in all threads while others could be served.
MAX_WAITING = 8
# The default names Python's urllib, which some providers' firewalls refuse.
_HEADERS = {"User-Agent": "holdfast", "Accept": "application/json"}


class UnknownKey(Exception):
    """The provider answered, and this key is not among its keys."""


class KeySet:
    """The keys at `url`. Any number of threads may ask at once."""

    def __init__(self, url: str) -> None:
        # Caching is done here: the library's makes all wait for a fetch, and asks a dead provider at each request.
        self._client = PyJWKClient(url, headers=_HEADERS, cache_jwk_set=False, timeout=FETCH_TIMEOUT_SECONDS)
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = self._tried_at = -math.inf
        self._failed = False
        self._under_way: threading.Event | None = None
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)

    def key(self, kid: str) -> PyJWK:
        """The key with this id. Raises UnknownKey, IssuerUnavailable (it is not known, and cannot be asked for)."""
        known = self._known(kid)
        if known is not None:
            if _age(self._fetched_at) > LIFESPAN_SECONDS:
                self._fetch()
            return known
        fetch = self._fetch()
        if fetch is not None:
            self._wait(fetch)
        # Also without one: a fetch may have ended since the first look.
        known = self._known(kid)
        if known is not None:
            return known
        if self._failed:
            raise IssuerUnavailable
        raise UnknownKey

    def _known(self, kid: str) -> PyJWK | None:
        return self._keys.get(kid) if _age(self._fetched_at) < MAX_STALE_SECONDS else None

    def _wait(self, fetch: threading.Event) -> None:
        if not self._keys:
            done = fetch.wait(FETCH_TIMEOUT_SECONDS)
        elif self._waiting.acquire(blocking=False):
            try:
                done = fetch.wait(FETCH_TIMEOUT_SECONDS)
            finally:
                self._waiting.release()
        else:
            done = False
        if not done:
            raise IssuerUnavailable

    def _fetch(self) -> threading.Event | None:
        """The fetch that is under way or begins now; None if the last one was a moment ago."""
        with self._lock:
            if self._under_way is not None:
                return self._under_way
            if _age(self._tried_at) < (RETRY_SECONDS if self._failed else COOLDOWN_SECONDS):
                return None
            self._under_way = threading.Event()
            threading.Thread(target=self._run, args=(self._under_way,), daemon=True, name="holdfast-jwks").start()
            return self._under_way

    def _run(self, done: threading.Event) -> None:
        keys: dict[str, PyJWK] = {}
        try:
            keys = {key.key_id: key for key in reversed(self._client.get_signing_keys(refresh=True)) if key.key_id}
        except Exception as error:  # of the network, or of whatever answers at that address
            trace.log("auth.keys_unavailable", level=logging.ERROR, reason=type(error).__name__)
        with self._lock:
            self._tried_at = time.monotonic()
            self._failed = not keys
            if keys:
                self._keys, self._fetched_at = keys, self._tried_at
            self._under_way = None
        done.set()


def _age(moment: float) -> float:
    return time.monotonic() - moment
