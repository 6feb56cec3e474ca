"""The hosted pub/sub channel: what browsers need to subscribe, and publishing. The only importer of `pusher`."""

import json
import math
import sys
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.errors import NotConfigured
from lib.models import Channels, Realtime, RealtimeOptions
from lib.settings import settings

if TYPE_CHECKING:
    import pusher

# Pusher's limits: https://pusher.com/docs/channels/library_auth_reference/rest-api
BATCH_SIZE = 10
MAX_DATA_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class Message:
    channel: str
    name: str
    data: dict[str, Any]


class PublishFailed(Exception):
    """The channel did not take a batch. The text is safe to log: it never holds the signed URL.

    `on_its_way`: it may have taken the batch after all and still be sending it; only its answer was lost.
    """

    def __init__(self, reason: str, *, on_its_way: bool) -> None:
        super().__init__(reason)
        self.on_its_way = on_its_way


def configured() -> bool:
    s = settings()
    return bool(s.pusher_app_id and s.pusher_key and s.pusher_secret)


def timeout_seconds() -> float:
    """How long one publish may take in all; at most half of its events' lease, so that it can begin in the other."""
    s = settings()
    return min(s.publish_timeout_ms / 1000, s.event_lease_seconds / 2)


def for_browsers() -> Realtime:
    """What a browser gives pusher-js. Raises NotConfigured without a channel."""
    s = settings()
    if not configured() or s.pusher_key is None:
        raise NotConfigured(
            "No pub/sub channel is configured (PUSHER_APP_ID, PUSHER_KEY, PUSHER_SECRET): poll instead."
        )
    options = RealtimeOptions(cluster=s.pusher_cluster, forceTLS=s.pusher_use_tls)
    if s.pusher_host is not None:
        port = s.pusher_client_port or s.pusher_port
        options.ws_host = s.pusher_client_host or s.pusher_host
        options.ws_port = options.wss_port = port
        # pusher-js would fall back to HTTP transports, which such servers do not speak.
        options.enabled_transports = ["ws", "wss"]
    channels = Channels(stock="cache-drop-{id}", drop="drop-{id}", all="drops")
    return Realtime(key=s.pusher_key, options=options, channels=channels)


# When this thread's publish must be over, in time.monotonic()'s seconds.
_ends: ContextVar[float] = ContextVar("ends")


def publish(messages: list[Message], seconds: float = math.inf) -> None:
    """Publish up to BATCH_SIZE messages in one call; once more if a kept-alive connection had died.

    Both tries together take `seconds` and timeout_seconds() at most: the lease of the events counts on that. Raises
    PublishFailed.
    """
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProtocolError

    # A new batch for each try: trigger_batch changes its argument.
    try:
        client = _client()
        # Not earlier: what importing it takes once is not the channel's time.
        _ends.set(time.monotonic() + min(seconds, timeout_seconds()))
        answer = client.trigger_batch(_batch(messages))
    except (NewConnectionError, ProtocolError):
        answer = _second_try(messages)
    except ConnectTimeoutError as error:
        # A connection that never came about: no second wait for the same.
        raise PublishFailed(type(error).__name__, on_its_way=False) from None
    except Exception as error:
        raise PublishFailed(type(error).__name__, on_its_way=not _is_refusal(error)) from None
    # soketi answers errors with HTTP 200.
    if isinstance(answer, dict) and "error" in answer:
        raise PublishFailed(f"refused with code {answer.get('code')}", on_its_way=False)


def _second_try(messages: list[Message]) -> Any:
    from urllib3.exceptions import NewConnectionError

    try:
        return _client().trigger_batch(_batch(messages))
    except Exception as error:
        # Where nobody listens (any more), nothing is on its way.
        is_gone = isinstance(error, NewConnectionError)
        raise PublishFailed(type(error).__name__, on_its_way=not (is_gone or _is_refusal(error))) from None


def _is_refusal(error: Exception) -> bool:
    """Whether hosted Pusher read the batch and did not take it: 400, 401, 403."""
    from pusher.errors import PusherBadAuth, PusherBadRequest, PusherForbidden

    return isinstance(error, PusherBadRequest | PusherBadAuth | PusherForbidden)


def _batch(messages: list[Message]) -> list[dict[str, str]]:
    return [{"channel": m.channel, "name": m.name, "data": _encode(m.data)} for m in messages]


def _encode(data: dict[str, Any]) -> str:
    """Compact JSON. A stockUpdate whose sizes do not fit goes without them: its reader fetches the drop."""
    for only_ascii in (False, True):
        text = json.dumps(data, ensure_ascii=only_ascii, separators=(",", ":"))
        # `pusher` measures sys.getsizeof, which is four bytes for each character if one of them is an emoji. It
        # would refuse the whole batch, again and again.
        if max(len(text.encode()), sys.getsizeof(text)) <= MAX_DATA_BYTES:
            return text
    if "sizes" in data:
        return _encode({key: value for key, value in data.items() if key != "sizes"})
    return text


class _Wire:
    """How `pusher` sends: by kept-alive connections. Its own way, `requests`, takes two and a half times as long."""

    def __init__(self, client: Any) -> None:
        import urllib3
        from pusher.requests import CERT_PATH

        to = {"host": client.host, "port": client.port, "retries": False, "maxsize": 2}
        self._pool = (
            urllib3.HTTPSConnectionPool(**to, ca_certs=CERT_PATH) if client.ssl else urllib3.HTTPConnectionPool(**to)
        )

    def send_request(self, request: Any) -> Any:
        from pusher.http import process_response
        from urllib3 import Timeout

        left = _ends.get() - time.monotonic()
        if left <= 0:  # a function that stood still between its tries, for one
            raise TimeoutError
        how = {"headers": request.headers, "timeout": Timeout(total=left)}
        answer = self._pool.urlopen(request.method, request.signed_path, request.body, **how)
        return process_response(answer.status, answer.data.decode())


_made: "pusher.Pusher | None" = None
_make_lock = threading.Lock()


def _client() -> "pusher.Pusher":
    """One client for the process: it keeps its connection alive. Imported at first use, to keep cold starts short."""
    global _made
    with _make_lock:
        if _made is None:
            import pusher

            s = settings()
            own_server = (
                {"host": s.pusher_host, "port": s.pusher_port} if s.pusher_host else {"cluster": s.pusher_cluster}
            )
            _made = pusher.Pusher(
                app_id=s.pusher_app_id,
                key=s.pusher_key,
                secret=s.pusher_secret,
                ssl=s.pusher_use_tls,
                backend=_Wire,
                **own_server,
            )
        return _made


def close() -> None:
    """Forget the client and its connection; the next publish makes a new one."""
    global _made
    with _make_lock:
        _made = None
