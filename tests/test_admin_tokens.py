"""Where AUTH_MODE is jwt: whose token is an admin's, who else may pass, and what a missing setting closes."""

from collections.abc import Callable
from typing import Any

import httpx2

from tests.support.api import problem, unchanged
from tests.support.database import Database
from tests.support.issuer import SECRET, Issuer, bearer, settings

Configure = Callable[..., None]
MakeDrop = Callable[..., int]

DROP = {"name": "x", "price": 1, "totalStock": 1}
ADMIN_CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/api/drops", DROP),
    ("PATCH", "/api/drops/1", {"name": "y"}),
    ("POST", "/api/drops/1/restock", {"quantity": 1}),
    ("POST", "/api/users", {"username": "ada"}),
]
USER_LIST = ("GET", "/api/users", None)


def call(client: httpx2.Client, what: tuple[str, str, Any], token: str) -> httpx2.Response:
    return client.request(what[0], what[1], json=what[2], headers=bearer(token))


# AUTH_ADMIN_CLAIM, AUTH_ADMIN_VALUE, and what an admin's token says.
ADMINS: list[tuple[str, str, dict[str, Any]]] = [
    ("role", "admin", {"role": "admin"}),
    ("app_metadata.role", "shop", {"app_metadata": {"role": "shop"}}),
    ("https://shop.example/roles", "admin", {"https://shop.example/roles": ["user", "admin"]}),
    ("permissions", "write:drops", {"permissions": ["write:drops"]}),
]
NO_ADMINS: list[dict[str, Any]] = [
    *({}, {"role": "user"}, {"role": "administrator"}, {"role": "not admin"}, {"role": "Admin"}, {"role": True}),
    *({"role": {"admin": True}}, {"role": ["users", ["admin"]]}, {"roles": "admin"}),
    *({"user_metadata": {"role": "admin"}}, {"role": None, "scope": "admin"}),
]


def test_the_token_of_an_admin_opens_the_admins_routes(
    client: httpx2.Client, issuer: Issuer, make_drop: MakeDrop, configure: Configure
) -> None:
    make_drop(1)
    for claim, value, said in ADMINS:
        configure(AUTH_ADMIN_CLAIM=claim, AUTH_ADMIN_VALUE=value, HOLDFAST_ENV="production")
        for what in ADMIN_CALLS[:3]:
            assert call(client, what, issuer.token(**said)).is_success, (what, said)
    assert call(client, ADMIN_CALLS[3], issuer.token(**said)).status_code == 201
    assert call(client, USER_LIST, issuer.token(**said)).status_code == 200


def test_a_genuine_token_without_the_role_is_forbidden(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop, configure: Configure
) -> None:
    make_drop(1)
    configure(AUTH_ADMIN_CLAIM="role", HOLDFAST_ENV="production")
    with unchanged(database):
        for said in NO_ADMINS:
            for what in [*ADMIN_CALLS, USER_LIST]:
                problem(call(client, what, issuer.token(**said)), 403, "forbidden")


def test_a_buyer_is_forbidden_and_a_forger_is_not_even_known_where_only_a_secret_makes_an_admin(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop, configure: Configure
) -> None:
    make_drop(1)
    configure(ADMIN_TOKEN="an-admin-secret")
    forged = issuer.token(kid="never-published", role="admin")
    with unchanged(database):
        for what in ADMIN_CALLS:
            problem(call(client, what, issuer.token(role="admin")), 403, "forbidden")
            problem(call(client, what, forged), 401, "unauthorized")
    assert call(client, ADMIN_CALLS[0], "an-admin-secret").status_code == 201


def test_making_users_is_for_admins_where_buyers_have_tokens(
    client: httpx2.Client, database: Database, issuer: Issuer, configure: Configure
) -> None:
    configure(ADMIN_TOKEN="an-admin-secret")
    with unchanged(database):
        problem(client.post("/api/users", json={"username": "ada"}), 401, "unauthorized")
        problem(call(client, ("POST", "/api/users", {"username": "ada"}), issuer.token()), 403, "forbidden")
    assert call(client, ("POST", "/api/users", {"username": "ada"}), "an-admin-secret").status_code == 201


UNUSABLE: list[tuple[dict[str, str | None], str]] = [
    ({"AUTH_JWKS_URL": None}, "AUTH_JWKS_URL"),
    ({"AUTH_ISSUER": None}, "AUTH_ISSUER"),
    ({"AUTH_AUDIENCE": None}, "AUTH_AUDIENCE"),
    ({"AUTH_AUDIENCE": " , "}, "AUTH_AUDIENCE"),
    ({"AUTH_JWKS_URL": None, "AUTH_JWT_SECRET": "x" * 31}, "AUTH_JWT_SECRET"),
    ({"AUTH_JWKS_URL": "http://issuer.example/jwks"}, "AUTH_JWKS_URL"),
    ({"AUTH_JWKS_URL": "http://127.0.0.1.issuer.example/jwks"}, "AUTH_JWKS_URL"),
    ({"AUTH_JWKS_URL": "file:///etc/passwd"}, "AUTH_JWKS_URL"),
]


def test_jwt_mode_without_all_it_needs_is_closed_and_health_says_so(
    client: httpx2.Client, database: Database, issuer: Issuer, configure: Configure
) -> None:
    for changes, name in UNUSABLE:
        configure(**settings(issuer, **{"AUTH_JWT_SECRET": None, **changes}))
        for token in (issuer.token(), "x", SECRET):
            answer = client.post("/api/reserve/1", json={}, headers=bearer(token))
            assert name in problem(answer, 503, "not_configured")["detail"]
        health = client.get("/api/health").json()
        assert (health["status"], health["configuration"]) == ("degraded", [name]), changes
