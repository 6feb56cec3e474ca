"""Which tokens are taken where AUTH_MODE is jwt: genuine ones of our issuer, for us, in time. No other is."""

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import httpx2
import jwt
import pytest

from lib import inventory
from tests.support.api import problem, unchanged
from tests.support.database import Database
from tests.support.issuer import (
    AUDIENCE,
    ISSUER,
    SECRET,
    Issuer,
    bearer,
    by_hand,
    claims,
    encoded,
    jwk,
    private_key,
    public_pem,
    settings,
    signed,
)

Configure = Callable[..., None]
MakeDrop = Callable[..., int]
CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/api/reserve/1", {}),
    ("POST", "/api/purchase/1", {}),
    ("GET", "/api/reservations/1", None),
    ("DELETE", "/api/reservations/1", {}),
]


def now() -> int:
    return int(time.time())


def tampered(token: str) -> str:
    head, _, signature = token.split(".")
    return f"{head}.{encoded(claims('mallory'))}.{signature}"


def confused(key: bytes) -> str:
    """Signed with an HMAC of a public key, for whoever lets the token choose the algorithm."""
    return by_hand({"alg": "HS256", "typ": "JWT", "kid": "rsa"}, claims(), key)


def deep(brackets: int) -> bytes:
    return b"[" * brackets + b"]" * brackets


RSA = {"alg": "RS256", "kid": "rsa"}
# What the refusal says, and tokens that earn it: each is good but for one thing.
REFUSED: dict[str, dict[str, Callable[[], str]]] = {
    "is not genuine": {
        "of a stranger": lambda: signed("stranger", claims(), kid="rsa"),
        "of a stranger who brings his key": lambda: signed("stranger", claims(), kid="rsa", jwk=jwk("stranger", "rsa")),
        "of a stranger who says where his key is": lambda: signed(
            "stranger", claims(), kid="rsa", jku="http://127.0.0.1:9/jwks", x5u="http://127.0.0.1:9/x5u"
        ),
        "changed after it was signed": lambda: tampered(signed("rsa", claims())),
        "without its signature": lambda: signed("rsa", claims()).rpartition(".")[0] + ".",
        "alg none": lambda: jwt.encode(claims(), None, "none", {"kid": "rsa"}),
        "alg NONE": lambda: by_hand({"alg": "NONE", "kid": "rsa"}, claims()),
        "alg none with a signature": lambda: by_hand({"alg": "none", "kid": "rsa"}, claims(), b"x"),
        "no alg": lambda: by_hand({"kid": "rsa"}, claims(), b"x"),
        "alg no text": lambda: by_hand({"alg": ["RS256"], "kid": "rsa"}, claims(), b"x"),
        "HMAC with the public key's PEM": lambda: confused(public_pem("rsa")),
        "HMAC with the public key's PEM without its last line break": lambda: confused(public_pem("rsa").strip()),
        "HMAC with the published key": lambda: confused(json.dumps(jwk("rsa")).encode()),
        "HMAC with nothing": lambda: confused(b"\0"),
        "HMAC where no secret is set": lambda: jwt.encode(claims(), SECRET, "HS256", {"kid": "rsa"}),
        "another algorithm than the key's": lambda: jwt.encode(claims(), private_key("rsa"), "RS512", {"kid": "rsa"}),
        "the id of another kind of key": lambda: signed("rsa", claims(), kid="ec"),
        "an unknown key": lambda: signed("never-published", claims()),
        "no key id": lambda: jwt.encode(claims(), private_key("rsa"), "RS256"),
        "a key id that is no text": lambda: by_hand({"alg": "RS256", "kid": {"a": 1}}, claims(), b"x"),
        "a critical extension": lambda: by_hand({**RSA, "crit": ["exp"]}, claims(), b"x"),
        "an expiry that is no number": lambda: signed("rsa", claims(exp="never")),
        "an endless expiry": lambda: signed("rsa", claims(exp=float("inf"))),
        "an empty subject": lambda: signed("rsa", claims("")),
        "a subject that is a number": lambda: signed("rsa", claims() | {"sub": 7}),
        "a subject that is too long": lambda: signed("rsa", claims("x" * 256)),
        "a subject that the database cannot hold": lambda: signed("rsa", claims("a\x00b")),
        "a subject of half a character": lambda: signed("rsa", claims("\ud800")),
        "a subject with a space around": lambda: signed("rsa", claims(" alice")),
        "claims that are no object": lambda: by_hand(RSA, ["sub"], b"x"),
        "claims nested without end": lambda: by_hand(RSA, deep(2900), b"x"),
        "a header nested without end": lambda: f"{encoded(deep(2900))}.e30.e30",
        "too long": lambda: signed("rsa", claims(more="x" * 7000)),
        "much too long": lambda: signed("rsa", claims(more="x" * 30_000)),
        "garbled": lambda: "not.a.token",
        "two parts": lambda: "e30.e30",
        "four parts": lambda: signed("rsa", claims()) + ".e30",
        "no base64": lambda: "%%%.%%%.%%%",
        "no ASCII": lambda: "caf\xe9.caf\xe9.caf\xe9",
        "the admin's secret": lambda: "an-admin-secret",
    },
    "has expired": {
        "just now": lambda: signed("rsa", claims(exp=now() - 32)),
        "long ago": lambda: signed("rsa", claims(exp=1)),
    },
    "is not valid yet": {
        "not before a minute from now": lambda: signed("rsa", claims(nbf=now() + 60)),
        "issued a minute from now": lambda: signed("rsa", claims(iat=now() + 60)),
    },
    "was made for somebody else": {
        "another audience": lambda: signed("rsa", claims(aud="another-shop")),
        "an audience that begins like ours": lambda: signed("rsa", claims(aud=f"{AUDIENCE}.example")),
        "other audiences": lambda: signed("rsa", claims(aud=["a", "b"])),
        "numbers": lambda: signed("rsa", claims(aud=[1])),
    },
    "was made by somebody else": {
        "another issuer": lambda: signed("rsa", claims(iss="https://other.example")),
        "an issuer that begins like ours": lambda: signed("rsa", claims(iss=f"{ISSUER}.evil.example")),
        "our issuer with a slash": lambda: signed("rsa", claims(iss=f"{ISSUER}/")),
    },
    "does not say all that it must": {
        "no expiry": lambda: signed("rsa", claims(exp=None)),
        "no subject": lambda: signed("rsa", claims(sub=None)),
        "no audience": lambda: signed("rsa", claims(aud=None)),
        "an empty audience": lambda: signed("rsa", claims(aud=[])),
        "no issuer": lambda: signed("rsa", claims(iss=None)),
    },
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_token_is_refused_that(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop, configure: Configure, why: str
) -> None:
    configure(ADMIN_TOKEN="an-admin-secret")
    make_drop(1)
    with unchanged(database):
        for (what, make), (method, path, body) in zip(REFUSED[why].items(), itertools.cycle(CALLS), strict=False):
            authorization = f"Bearer {make()}".encode("latin-1")
            answer = client.request(method, path, json=body, headers={"Authorization": authorization})
            assert why in problem(answer, 401, "unauthorized")["detail"], what
            assert "alice" not in answer.text
    assert issuer.asked <= 1


# Headers, with {} where the token goes: none of them is one Authorization header with one bearer.
NO_BEARER: list[list[tuple[str, str]]] = [
    [],
    [("Authorization", "")],
    [("Authorization", "Bearer")],
    [("Authorization", "Basic {}")],
    [("Authorization", "{}")],
    [("Authorization", "Bearer {}, Bearer {}")],
    [("Authorization", "Bearer {}"), ("Authorization", "Bearer {}")],
    [("Authorization", "Basic YTpi"), ("Authorization", "Bearer {}")],
    [("Cookie", "__session={}"), ("X-Authorization", "Bearer {}")],
]


def test_who_sends_no_token_or_two_is_refused(client: httpx2.Client, database: Database, issuer: Issuer) -> None:
    with unchanged(database):
        for headers, (method, path, body) in itertools.product(NO_BEARER, CALLS):
            sent = [(name, value.replace("{}", issuer.token())) for name, value in headers]
            answer = client.request(method, path, json=body, headers=sent)
            problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert database.value("select count(*) from identities") == 0


def test_a_userid_alone_proves_nothing(client: httpx2.Client, issuer: Issuer, make_drop: MakeDrop) -> None:
    make_drop(1)
    issuer_user = inventory.create_user("ada")[0].id
    problem(client.post("/api/reserve/1", json={"userId": issuer_user}), 401, "unauthorized")


def test_a_token_signed_with_any_published_key_is_taken(
    client: httpx2.Client, issuer: Issuer, make_drop: MakeDrop
) -> None:
    make_drop(3)
    for kid in issuer.published:
        answer = client.post("/api/reserve/1", json={}, headers=bearer(issuer.token(kid, kid=kid)))
        assert answer.status_code == 201, kid


def test_a_token_is_taken_within_the_leeway_for_one_audience_of_several_and_of_any_readable_subject(
    client: httpx2.Client, issuer: Issuer, make_drop: MakeDrop
) -> None:
    make_drop(9)
    changes: list[dict[str, Any]] = [
        *({"exp": now() - 15}, {"nbf": now() + 15}, {"iat": now() + 15}),
        {"aud": ["userinfo", AUDIENCE]},
        *({"sub": subject} for subject in ("auth0|6543", "user_2x", "é" * 255)),
    ]
    for change in changes:
        token = signed("rsa", claims(f"subject {change}") | change)
        answer = client.post("/api/reserve/1", json={}, headers=bearer(token))
        assert answer.status_code == 201, change


def test_the_leeway_is_a_setting(
    client: httpx2.Client, issuer: Issuer, make_drop: MakeDrop, configure: Configure
) -> None:
    make_drop(1)
    configure(AUTH_LEEWAY_SECONDS="0")
    problem(client.post("/api/reserve/1", json={}, headers=bearer(issuer.token(exp=now() - 2))), 401, "unauthorized")


def with_a_secret(**more: str | None) -> dict[str, str | None]:
    return {"AUTH_JWKS_URL": None, "AUTH_JWT_SECRET": SECRET, **more}


def test_a_token_signed_with_the_shared_secret_is_taken(
    client: httpx2.Client, issuer: Issuer, make_drop: MakeDrop, configure: Configure
) -> None:
    make_drop(1)
    configure(**with_a_secret())
    for token in (
        jwt.encode(claims(), f"{SECRET}x", "HS256"),
        jwt.encode(claims(), SECRET * 2, "HS512"),
        jwt.encode(claims(), SECRET, "HS256").rpartition(".")[0] + ".",
        issuer.token(),
    ):
        problem(client.post("/api/reserve/1", json={}, headers=bearer(token)), 401, "unauthorized")
    token = jwt.encode(claims(), SECRET, "HS256")
    assert client.post("/api/reserve/1", json={}, headers=bearer(token)).status_code == 201
    assert issuer.asked == 0


def test_with_secret_and_keys_both_each_verifies_its_own_algorithms_alone(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop, configure: Configure
) -> None:
    make_drop(2)
    configure(**with_a_secret(AUTH_JWKS_URL=issuer.url))
    with unchanged(database):
        for key in (public_pem("rsa"), json.dumps(jwk("rsa")).encode()):
            answer = client.post("/api/reserve/1", json={}, headers=bearer(confused(key)))
            problem(answer, 401, "unauthorized")
    for token in (issuer.token("a"), jwt.encode(claims("b"), SECRET, "HS256", {"kid": "rsa"})):
        assert client.post("/api/reserve/1", json={}, headers=bearer(token)).status_code == 201


def test_a_secret_that_the_issuer_publishes_by_mistake_verifies_nothing(
    client: httpx2.Client, database: Database, issuer: Issuer
) -> None:
    leaked = {"kty": "oct", "kid": "oct", "alg": "HS256", "k": encoded(SECRET.encode())}
    document = json.dumps({"keys": [jwk("rsa"), leaked]}).encode()
    issuer.document = lambda: document
    for kid in ("oct", "rsa"):
        token = jwt.encode(claims(), SECRET, "HS256", {"kid": kid})
        problem(client.post("/api/reserve/1", json={}, headers=bearer(token)), 401, "unauthorized")


def test_authorized_parties_stand_in_for_an_audience(
    client: httpx2.Client, issuer: Issuer, make_drop: MakeDrop, configure: Configure
) -> None:
    make_drop(1)
    shops = "https://shop.example, https://www.shop.example"
    configure(**settings(issuer, AUTH_AUDIENCE=None, AUTH_AUTHORIZED_PARTIES=shops))
    for party in (
        None,
        "https://evil.example",
        "https://shop.example.evil.example",
        shops,
        "",
        ["https://shop.example"],
    ):
        token = issuer.token(aud=None, azp=party)
        problem(client.post("/api/reserve/1", json={}, headers=bearer(token)), 401, "unauthorized")
    token = issuer.token(aud=None, azp="https://www.shop.example")
    assert client.post("/api/reserve/1", json={}, headers=bearer(token)).status_code == 201
