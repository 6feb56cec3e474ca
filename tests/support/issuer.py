"""An identity provider on this machine: it signs tokens with real keys and publishes them over real HTTP."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from dev.ports import HOST

ISSUER = "https://issuer.example"
AUDIENCE = "holdfast"
SECRET = "a secret of forty characters for the HMAC"
# Which algorithm the key of a name is for; any other name is one for RSA.
ALGORITHMS = {"ec": "ES256", "ed": "EdDSA"}
PRIVATE: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def algorithm_of(name: str) -> str:
    return ALGORITHMS.get(name, "RS256")


@cache
def private_key(name: str) -> Any:
    """The same key for the same name: making one for RSA takes a while."""
    return PRIVATE[algorithm_of(name)]()


def public_pem(name: str) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = private_key(name).public_key().public_bytes(serialization.Encoding.PEM, form)
    return pem


def jwk(name: str, kid: str | None = None) -> dict[str, Any]:
    """The public key of a name as an identity provider publishes it."""
    algorithm = algorithm_of(name)
    shape = json.loads(get_default_algorithms()[algorithm].to_jwk(private_key(name).public_key()))
    return {**shape, "kid": kid or name, "alg": algorithm, "use": "sig"}


def signed(name: str, payload: dict[str, Any], **header: Any) -> str:
    """A token signed with the key of a name, which is its key id too unless the header says otherwise."""
    return jwt.encode(payload, private_key(name), algorithm_of(name), {"kid": name, **header})


def claims(subject: str = "alice", **changes: Any) -> dict[str, Any]:
    """What a good token says, but for the changes; None leaves a claim out."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 300}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], payload: Any, key: bytes = b"") -> str:
    """A token that no library would sign: HMAC with whatever bytes; without a key, an empty signature."""
    text = f"{encoded(header)}.{encoded(payload)}"
    return f"{text}.{encoded(hmac.digest(key, text.encode(), hashlib.sha256)) if key else ''}"


class Issuer:
    """`url` answers with the public keys of `published`; `asked` counts how often. `answer` may give something else."""

    def __init__(self) -> None:
        self.published = ["rsa", "ec", "ed"]
        self.asked = 0
        self.answer: Callable[[BaseHTTPRequestHandler], None] | None = None
        self._server = ThreadingHTTPServer((HOST, 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}/.well-known/jwks.json"

    def token(self, subject: str = "alice", kid: str = "rsa", **changes: Any) -> str:
        """Signed with the key of that name, whether it is published or not."""
        return signed(kid, claims(subject, **changes))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def document(self) -> bytes:
        return json.dumps({"keys": [jwk(name) for name in self.published]}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                if issuer.answer is not None:
                    issuer.answer(self)
                    return
                body = issuer.document()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def refuse(status: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer for Issuer.answer: this status, and an error page."""
    return lambda handler: handler.send_error(status)


def settings(issuer: Issuer, **more: str | None) -> dict[str, str | None]:
    """The variables of a deployment that trusts this issuer."""
    own = {"AUTH_MODE": "jwt", "AUTH_JWKS_URL": issuer.url, "AUTH_ISSUER": ISSUER, "AUTH_AUDIENCE": AUDIENCE}
    return {**own, **more}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    try:
        yield issuer
    finally:
        issuer.close()
