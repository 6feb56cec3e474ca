"""Secrets where others can read them: in logs, in errors, in what is deployed."""

import base64
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

# What the value of is nobody's business; of an address, the password in it.
_SECRET_NAMES = re.compile(r".*(_TOKEN|_SECRET)")
_URL_NAMES = re.compile(r"DATABASE_URL(_UNPOOLED)?")
# Not secret by a name, but made of secrets: a signed request to the channel, the database's whole address.
_PATTERNS = {"a signed URL": re.compile(r"auth_signature"), "a database's URL": re.compile(r"postgres(ql)?://")}
# What a developer's or a builder's environment may hold, and nothing that is deployed: builds in tests have them.
CANARIES = {
    name: f"canary-{name.lower()}-3f9a1c"
    for name in ("ADMIN_TOKEN", "CRON_SECRET", "PUSHER_SECRET", "DATABASE_URL", "AUTH_JWT_SECRET")
}


def secrets_of(environment: Mapping[str, str]) -> dict[str, str]:
    """{variable: secret} of a function's environment."""
    found = {name: value for name, value in environment.items() if _SECRET_NAMES.fullmatch(name)}
    for name, value in environment.items():
        if _URL_NAMES.fullmatch(name) and (password := urlsplit(value).password):
            found[f"the password of {name}"] = unquote(password)
    return found


def leaks(text: str, secrets: Mapping[str, str]) -> list[str]:
    """What of `secrets` can be read in `text`: as it is, as in an address, or as base64."""
    assert secrets and all(len(value) >= 8 for value in secrets.values()), "too short to be looked for"
    found = [name for name, value in secrets.items() if any(form in text for form in _forms(value))]
    return found + [name for name, pattern in _PATTERNS.items() if pattern.search(text)]


def _forms(value: str) -> set[str]:
    return {value, quote(value, safe=""), base64.b64encode(value.encode()).decode().rstrip("=")}
