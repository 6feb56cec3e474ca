"""Who is asking. Admin and clock prove it with a secret, buyers as AUTH_MODE says. Production without is closed."""

import hashlib
import hmac
import importlib
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from lib import errors, identities
from lib.errors import Forbidden, HoldfastError, NotConfigured, Unauthorized, ValidationFailed
from lib.settings import listed, settings

if TYPE_CHECKING:
    from lib.tokens import Token

# RFC 7518 section 3.2: a key for HS256 has at least as many bits as its hash.
MIN_JWT_SECRET_BYTES = 32

# How a route that asks for a buyer or an admin can refuse them, for the API's document.
REFUSALS: tuple[type[HoldfastError], ...] = (
    errors.Unauthorized,
    errors.Forbidden,
    errors.NotConfigured,
    errors.IssuerUnavailable,
)
# In the API's document: what is asked for where AUTH_MODE is jwt, and not where it is trusted.
BUYER_SECURITY: dict[str, Any] = {"security": [{}, {"token": []}]}
ADMIN_SECURITY: dict[str, Any] = {"security": [{}, {"secret": []}]}
TOKEN_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "Where AUTH_MODE is jwt: the buyer's token from the identity provider.",
}


class OneBearer(HTTPBearer):
    """A bearer's credentials; None without them, or with two headers, of which two readers may choose two."""

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        return await super().__call__(request) if len(request.headers.getlist("authorization")) == 1 else None


_bearer = OneBearer(
    auto_error=False, scheme_name="secret", description="ADMIN_TOKEN, or an admin's JWT; for the sweep CRON_SECRET."
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def require_admin(given: Credentials) -> None:
    """Pass with one of ADMIN_TOKEN, with the JWT of an admin, or if development has neither.

    Raises NotConfigured, Unauthorized, Forbidden (a genuine JWT, but no admin's), IssuerUnavailable.
    """
    secrets = listed(settings().admin_token)
    if not secrets and not _takes_admin_tokens():
        if settings().is_production:
            raise _not_configured(["ADMIN_TOKEN"])
        return
    if given is not None and _is_one_of(given.credentials, secrets):
        return
    if given is not None and settings().auth_mode == "jwt" and _looks_like_a_jwt(given.credentials):
        if _verified(given).is_admin():
            return
        raise Forbidden("This token is genuine, but not an admin's.")
    raise Unauthorized("This route needs Authorization: Bearer with the value of ADMIN_TOKEN or the token of an admin.")


def require_admin_outside_development(given: Credentials) -> None:
    if settings().is_production:
        require_admin(given)


async def require_admin_in_jwt_mode(request: HTTPConnection) -> None:
    """Where buyers have tokens, their users are made by these: nobody else has a reason to make any."""
    if settings().auth_mode == "jwt":
        await run_in_threadpool(require_admin, await _bearer(request))


def require_cron(given: Credentials) -> None:
    """Pass with one of CRON_SECRET, or if development has none. Raises NotConfigured, Unauthorized."""
    secret = settings().cron_secret or ""
    if not listed(secret):
        if settings().is_production:
            raise _not_configured(["CRON_SECRET"])
        return
    # Vercel's clock sends the variable as it stands, with all of the secrets if there are several.
    if given is None or not _is_one_of(given.credentials, [secret.strip(), *listed(secret)]):
        raise Unauthorized("This route needs Authorization: Bearer with the value of CRON_SECRET.")


Admin = Depends(require_admin)
AdminOutsideDevelopment = Depends(require_admin_outside_development)
AdminInJwtMode = Depends(require_admin_in_jwt_mode)
Cron = Depends(require_cron)


@dataclass(frozen=True, slots=True)
class Caller:
    """A buyer: whoever the request says in trusted mode (no token), else whose token it is."""

    token: "Token | None"

    def user_id(self, claimed: int | None) -> int:
        """The user who acts. `claimed` is the request's userId: believed in trusted mode, else it must be the token's.

        Raises ValidationFailed (trusted, and no userId), Forbidden (another's userId).
        """
        if self.token is None:
            if claimed is None:
                raise ValidationFailed("userId: is required", errors=[{"field": "userId", "message": "is required"}])
            return claimed
        own = identities.user_id_of(self.token.issuer, self.token.subject, self.token.username())
        if claimed is not None and claimed != own:
            raise Forbidden("The userId in the request is not the one of the token. Leave it out.")
        return own


async def identify(request: HTTPConnection) -> Caller:
    """Who buys. Raises NotConfigured, Unauthorized, IssuerUnavailable."""
    missing = _missing_for_buyers()
    if missing:
        raise _not_configured(missing)
    if settings().auth_mode != "jwt":
        return Caller(None)
    given = await _bearer(request)
    if given is None:
        raise Unauthorized("This route needs one Authorization: Bearer header with a token of the identity provider.")
    return Caller(await run_in_threadpool(_verified, given))


Buyer = Annotated[Caller, Depends(identify)]


def missing() -> list[str]:
    """The settings without which routes are closed here: those that are missing, or that cannot be used as they are.

    On Lambda each function knows its own secrets alone, so there the secrets are left out.
    """
    s = settings()
    found = _missing_for_buyers()
    if s.on_lambda:
        return [name for name in found if name not in ("AUTH_JWKS_URL", "AUTH_JWT_SECRET")]
    if s.is_production and not listed(s.admin_token) and not _takes_admin_tokens():
        found.append("ADMIN_TOKEN")
    if s.is_production and not listed(s.cron_secret):
        found.append("CRON_SECRET")
    return found


def forget() -> None:
    """Forget buyers and keys. For tests, which change what they stand for."""
    identities.user_id_of.cache_clear()
    if "lib.tokens" in sys.modules:
        from lib import tokens

        tokens.forget()


def _missing_for_buyers() -> list[str]:
    s = settings()
    if s.auth_mode != "jwt":
        return ["AUTH_MODE"] if s.auth_mode is None and s.is_production else []
    found = []
    if s.auth_jwt_secret and len(s.auth_jwt_secret.encode()) < MIN_JWT_SECRET_BYTES:
        found.append("AUTH_JWT_SECRET")
    if s.auth_jwks_url and not _is_safe_address(s.auth_jwks_url):
        found.append("AUTH_JWKS_URL")
    if not s.auth_jwks_url and not s.auth_jwt_secret:
        found.append("AUTH_JWKS_URL")
    if not s.auth_issuer:
        found.append("AUTH_ISSUER")
    # Without these, a token that somebody else's application got from the same issuer would be good here.
    if not listed(s.auth_audience) and not listed(s.auth_authorized_parties):
        found.append("AUTH_AUDIENCE")
    return found


def _is_safe_address(url: str) -> bool:
    """https, or this machine: who can change the keys on their way can be anybody."""
    return re.match(r"https://|http://(127\.0\.0\.1|localhost)[:/]", url) is not None


def _takes_admin_tokens() -> bool:
    return settings().auth_mode == "jwt" and settings().auth_admin_claim is not None


def _not_configured(names: list[str]) -> NotConfigured:
    return NotConfigured(f"{' and '.join(names)} must be set on the server; until then this route is closed.")


def _is_one_of(given: str, secrets: list[str]) -> bool:
    """Compares with each, all of them and in constant time; digests, so that not even the length shows."""
    digest = hashlib.sha256(given.strip().encode()).digest()
    same = [hmac.compare_digest(digest, hashlib.sha256(secret.encode()).digest()) for secret in secrets]
    return any(same)


def _looks_like_a_jwt(text: str) -> bool:
    return text.count(".") == 2


def _verified(given: HTTPAuthorizationCredentials) -> "Token":
    problem = _missing_for_buyers()
    if problem:
        raise _not_configured(problem)
    from lib import tokens

    return tokens.verify(given.credentials.strip())


# Where it will be needed it is part of the start, or of the snapshot, and of no request.
if settings().auth_mode == "jwt":
    importlib.import_module("lib.tokens")
