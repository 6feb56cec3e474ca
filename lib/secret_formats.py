"""What the secrets of a deployment look like, and which settings each gives. ValueError or KeyError for others."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote


def database_url(text: str) -> dict[str, str]:
    """A URL; or JSON {"DATABASE_URL"}; or Amazon RDS' {"username", "password", "host", "port", "dbname"}."""
    fields = _json_object(text)
    url = text.strip() if fields is None else str(fields.get("DATABASE_URL", ""))
    if fields is not None and not url:
        user, password = quote(fields["username"], safe=""), quote(fields["password"], safe="")
        place = f"{fields['host']}:{fields.get('port', 5432)}/{quote(fields.get('dbname', 'postgres'), safe='')}"
        url = f"postgresql://{user}:{password}@{place}?sslmode={fields.get('sslmode', 'require')}"
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError
    return {"database_url": url}


def channel(text: str) -> dict[str, str]:
    """JSON {"PUSHER_APP_ID", "PUSHER_KEY", "PUSHER_SECRET"}, and "PUSHER_CLUSTER" where it is not set beside it."""
    fields = _json_object(text) or {}
    names = ("PUSHER_APP_ID", "PUSHER_KEY", "PUSHER_SECRET", "PUSHER_CLUSTER")
    found = {name.lower(): str(fields[name]) for name in names if fields.get(name)}
    if not {"pusher_app_id", "pusher_key", "pusher_secret"} <= set(found):
        raise ValueError
    return found


def admin_token(text: str) -> dict[str, str]:
    """The token, or JSON {"ADMIN_TOKEN"}."""
    fields = _json_object(text)
    token = text.strip() if fields is None else str(fields["ADMIN_TOKEN"]).strip()
    if not token:
        raise ValueError
    return {"admin_token": token}


def jwt_secret(text: str) -> dict[str, str]:
    """The secret, or JSON {"AUTH_JWT_SECRET"}."""
    fields = _json_object(text)
    secret = text.strip() if fields is None else str(fields["AUTH_JWT_SECRET"])
    if not secret:
        raise ValueError
    return {"auth_jwt_secret": secret}


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


# By the setting that names the secret.
FORMATS: dict[str, Callable[[str], dict[str, str]]] = {
    "DATABASE_URL_SECRET": database_url,
    "PUSHER_SECRET_ID": channel,
    "ADMIN_TOKEN_SECRET": admin_token,
    "AUTH_JWT_SECRET_ID": jwt_secret,
}
