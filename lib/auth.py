"""Who is asking. Admin and cron prove it with a secret; buyers as AUTH_MODE says. Production without them is closed."""

import hmac
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lib.errors import NotConfigured, Unauthorized, ValidationFailed
from lib.settings import settings

_bearer = HTTPBearer(auto_error=False, scheme_name="secret", description="ADMIN_TOKEN; for the sweep CRON_SECRET.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def _require(name: str, secret: str | None, given: HTTPAuthorizationCredentials | None) -> None:
    """Pass with the secret as bearer token, or if development has no secret. Raises NotConfigured, Unauthorized."""
    if not secret:
        if settings().is_production:
            raise NotConfigured(f"{name} is not set on the server, so this route is closed.")
        return
    # Compared as bytes, in constant time: compare_digest refuses non-ASCII text.
    if given is None or not hmac.compare_digest(given.credentials.strip().encode(), secret.encode()):
        raise Unauthorized(f"This route needs Authorization: Bearer with the value of {name}.")


def require_admin(given: Credentials) -> None:
    _require("ADMIN_TOKEN", settings().admin_token, given)


def require_admin_outside_development(given: Credentials) -> None:
    if settings().is_production:
        require_admin(given)


def require_cron(given: Credentials) -> None:
    _require("CRON_SECRET", settings().cron_secret, given)


Admin = Depends(require_admin)
AdminOutsideDevelopment = Depends(require_admin_outside_development)
Cron = Depends(require_cron)


def buyer_id(claimed_user_id: int | None) -> int:
    """The user who acts. In trusted mode the request's userId is believed.

    Raises NotConfigured (production without AUTH_MODE), ValidationFailed (no userId).
    """
    if settings().auth_mode is None and settings().is_production:
        raise NotConfigured("AUTH_MODE is not set on the server, so this route is closed.")
    if claimed_user_id is None:
        raise ValidationFailed("userId: is required", errors=[{"field": "userId", "message": "is required"}])
    return claimed_user_id
