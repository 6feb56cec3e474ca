"""JSON Web Tokens: which are genuine, whose they are, and whether they are an admin's (AUTH_ settings).

Loaded where AUTH_MODE is jwt alone: the library and its cryptography take a tenth of a second to import.
"""

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
from jwt.exceptions import InvalidSubjectError

from lib import trace
from lib.errors import Unauthorized
from lib.jwks import KeySet, UnknownKey
from lib.settings import Settings, listed, settings

# Each kind of key with algorithms of its own, chosen here and not by the token: a public key never verifies an HMAC,
# and there is no "none". The library further binds each public key to the one algorithm that it was published for.
SECRET_ALGORITHMS = ["HS256"]
PUBLIC_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
# API Gateway and Vercel take little more in all headers together.
MAX_TOKEN_LENGTH = 8192
MAX_SUBJECT_LENGTH = 255
MAX_USERNAME_LENGTH = 200
# Never an e-mail address or a full name: everybody sees usernames.
USERNAME_CLAIMS = ("preferred_username", "username", "nickname")

_OPTIONS: Any = {"require": ["exp", "sub"], "enforce_minimum_key_length": True}
_REASONS: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "has expired",
    jwt.ImmatureSignatureError: "is not valid yet",
    jwt.InvalidAudienceError: "was made for somebody else",
    jwt.InvalidIssuerError: "was made by somebody else",
    jwt.MissingRequiredClaimError: "does not say all that it must",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A genuine one. `subject` is whose it is, for this issuer alone."""

    issuer: str
    subject: str
    claims: dict[str, Any]

    def username(self) -> str:
        """The name to show: AUTH_USERNAME_CLAIM, else what usual claims say, else one made of the subject."""
        configured = settings().auth_username_claim
        for name in (configured, *USERNAME_CLAIMS) if configured else USERNAME_CLAIMS:
            found = _plain(self.claim(name))[:MAX_USERNAME_LENGTH].strip()
            if found:
                return found
        return f"buyer-{hashlib.sha256(f'{self.issuer} {self.subject}'.encode()).hexdigest()[:8]}"

    def is_admin(self) -> bool:
        """Whether AUTH_ADMIN_CLAIM is AUTH_ADMIN_VALUE, or a list with it."""
        if not settings().auth_admin_claim:
            return False
        found = self.claim(settings().auth_admin_claim or "")
        return settings().auth_admin_value in (found if isinstance(found, list) else [found])

    def claim(self, path: str) -> Any:
        """A claim by its name; or, where none has that name, by names with dots between: app_metadata.role."""
        if path in self.claims:
            return self.claims[path]
        found: Any = self.claims
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found


def verify(text: str) -> Token:
    """What a token says, if it is genuine, in time, by our issuer and for us.

    Raises Unauthorized, IssuerUnavailable (its key is not known and cannot be asked for).
    """
    try:
        return _verify(text, settings())
    except (jwt.PyJWTError, UnknownKey) as error:
        trace.log("auth.refused", reason=type(error).__name__)
        raise Unauthorized(f"The token {_REASONS.get(type(error), 'is not genuine')}.") from None


def _verify(text: str, s: Settings) -> Token:
    if len(text) > MAX_TOKEN_LENGTH:
        raise jwt.DecodeError
    header = jwt.get_unverified_header(text)
    key: Any
    if header.get("alg") in SECRET_ALGORITHMS and s.auth_jwt_secret:
        key, algorithms = s.auth_jwt_secret, SECRET_ALGORITHMS
    elif header.get("alg") in PUBLIC_ALGORITHMS and s.auth_jwks_url and "kid" in header:
        key, algorithms = _key_set(s.auth_jwks_url).key(header["kid"]), PUBLIC_ALGORITHMS
    else:
        raise jwt.InvalidAlgorithmError
    issuer = s.auth_issuer or ""
    claims = jwt.decode(
        text,
        key,
        algorithms=algorithms,
        options=_OPTIONS,
        issuer=issuer,
        audience=listed(s.auth_audience) or None,
        leeway=s.auth_leeway_seconds,
    )
    if s.auth_authorized_parties and claims.get("azp") not in listed(s.auth_authorized_parties):
        raise jwt.InvalidAudienceError
    subject = claims["sub"]
    if not 1 <= len(subject) <= MAX_SUBJECT_LENGTH or _plain(subject) != subject:
        raise InvalidSubjectError
    return Token(issuer, subject, claims)


@lru_cache(maxsize=4)
def _key_set(url: str) -> KeySet:
    return KeySet(url)


def forget() -> None:
    """Forget the keys. For tests."""
    _key_set.cache_clear()


def _plain(value: object) -> str:
    """Text without control characters and halves of characters, which Postgres and pages cannot take; else ''."""
    if not isinstance(value, str):
        return ""
    return "".join(character for character in value if unicodedata.category(character) not in ("Cc", "Cs")).strip()
