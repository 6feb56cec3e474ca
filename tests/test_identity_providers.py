"""Tokens as Clerk, Auth0, Supabase and Neon Auth make them are taken with the settings that README.md gives."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.api import problem
from tests.support.database import Database
from tests.support.issuer import Issuer, bearer, claims, signed

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()


@dataclass(frozen=True)
class Provider:
    """The claims of a buyer's token beside `iss`, `iat` and `exp`, the name that they give, and what an admin's say."""

    key: str
    says: dict[str, Any]
    username: str | None
    admin: dict[str, Any] = field(default_factory=dict)


PROVIDERS = {
    "clerk": Provider(
        "rsa",
        {
            **{
                "aud": None,
                "azp": "https://YOUR-SHOP.example",
                "sid": "sess_1",
                "sub": "user_2abc",
                "fva": [7, -1],
                "v": 2,
            },
            **{"sts": "active", "username": "ada", "metadata": {}},
        },
        "ada",
        {"metadata": {"role": "admin"}},
    ),
    "auth0": Provider(
        "rsa",
        {
            **{"sub": "auth0|123456", "azp": "client", "scope": "openid profile"},
            "aud": ["https://YOUR-API.example", "https://YOUR-TENANT.eu.auth0.com/userinfo"],
            **{"https://YOUR-API.example/username": "ada", "permissions": []},
        },
        "ada",
        {"permissions": ["read:drops", "manage:drops"]},
    ),
    "supabase": Provider(
        "ec",
        {
            **{"sub": "123e4567-e89b-12d3-a456-426614174000", "aud": "authenticated", "role": "authenticated"},
            **{"email": "ada@example.com", "phone": "", "aal": "aal1", "session_id": "s", "is_anonymous": False},
            **{"app_metadata": {"provider": "github"}, "user_metadata": {"user_name": "ada"}},
        },
        "ada",
        {"app_metadata": {"role": "admin"}},
    ),
    "neon": Provider(
        "ed",
        {
            **{"sub": "5f0c", "id": "5f0c", "aud": "https://YOUR-ENDPOINT.neonauth.eu-central-1.aws.neon.tech"},
            **{"name": "Ada", "email": "ada@example.com", "role": "authenticated", "banned": False},
        },
        "Ada",
    ),
}


def settings_of(provider: str) -> dict[str, str]:
    """The lines that README.md gives for it."""
    (block,) = re.findall(rf"^```ini {provider}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return dict(line.split("=", 1) for line in block.splitlines())


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_token_of(
    client: httpx2.Client,
    database: Database,
    issuer: Issuer,
    make_drop: Callable[..., int],
    configure: Callable[..., None],
    name: str,
) -> None:
    provider, lines = PROVIDERS[name], settings_of(name)
    configure(AUTH_ISSUER=None, AUTH_AUDIENCE=None)
    configure(**{**lines, "AUTH_JWKS_URL": issuer.url}, ADMIN_TOKEN="secret", HOLDFAST_ENV="production")
    make_drop(1)

    def token(**more: Any) -> str:
        return signed(provider.key, claims(**{"iss": lines["AUTH_ISSUER"], **provider.says, **more}))

    assert lines["AUTH_JWKS_URL"].startswith(lines["AUTH_ISSUER"].rstrip("/"))
    answer = client.post("/api/reserve/1", json={}, headers=bearer(token()))
    assert answer.status_code == 201, answer.text
    assert database.rows("select username from users") == [(provider.username,)]
    another = {"aud": "another-app"} if "AUTH_AUDIENCE" in lines else {"azp": "https://another-app.example"}
    problem(client.post("/api/reserve/1", json={}, headers=bearer(token(**another))), 401, "unauthorized")
    problem(client.get("/api/users", headers=bearer(token())), 403, "forbidden")
    assert ("AUTH_ADMIN_CLAIM" in lines) == bool(provider.admin)
    if provider.admin:
        assert client.get("/api/users", headers=bearer(token(**provider.admin))).status_code == 200
