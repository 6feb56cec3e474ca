"""Buyers with tokens on Lambda: what verifies them is read where it is kept, and followed when it changes."""

from collections.abc import Callable
from typing import Any

import jwt
import pytest

from lib.secret_formats import FORMATS
from tests.support.database import Database
from tests.support.issuer import AUDIENCE, ISSUER, SECRET, Issuer, claims
from tests.support.lambda_runtime import Build, Functions, build
from tests.support.on_lambda import on_lambda, vault
from tests.support.vault import Vault

__all__ = ["on_lambda", "vault"]

pytestmark = pytest.mark.xdist_group("lambda")

JWT_MODE: dict[str, str | None] = {
    "AUTH_MODE": "jwt",
    "AUTH_ISSUER": ISSUER,
    "AUTH_AUDIENCE": AUDIENCE,
    "AUTH_JWT_SECRET_ID": "holdfast/jwt",
}


@pytest.fixture(scope="session")
def built() -> Build:
    return build()


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {jwt.encode(claims(), secret, 'HS256')}"}


def test_a_built_function_brings_what_verifies_tokens(
    built: Build, database: Database, issuer: Issuer, make_drop: Callable[..., int]
) -> None:
    make_drop(3)
    parameters = {"AuthMode": "jwt", "AuthIssuer": ISSUER, "AuthAudience": AUDIENCE, "AuthJwksUrl": issuer.url}
    functions = Functions(built, parameters, {"DATABASE_URL": database.url})
    try:
        for kid in issuer.published:
            headers = {"authorization": f"Bearer {issuer.token(kid, kid=kid)}"}
            answer = functions.call("POST", "/api/reserve/1", {}, headers=headers)
            assert answer.status == 201, answer.text
        stranger = {"authorization": f"Bearer {issuer.token(kid='stranger')}"}
        assert functions.call("POST", "/api/reserve/1", {}, headers=stranger).status == 401
    finally:
        functions.stop()


@pytest.mark.parametrize("text", ["s3cret\n", '{"AUTH_JWT_SECRET": "s3cret"}'])
def test_the_secret_is_plain_or_json(text: str) -> None:
    assert FORMATS["AUTH_JWT_SECRET_ID"](text) == {"auth_jwt_secret": "s3cret"}


@pytest.mark.parametrize("text", [" ", "{}", '{"AUTH_JWT_SECRET": ""}'])
def test_another_shape_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        FORMATS["AUTH_JWT_SECRET_ID"](text)


def test_tokens_are_verified_with_the_secret_and_with_the_next_one_when_it_is_rotated(
    on_lambda: Any, database: Database, vault: Vault, make_drop: Callable[..., int]
) -> None:
    make_drop(2)
    vault.put("holdfast/jwt", SECRET)
    call = on_lambda("api.reserve", **JWT_MODE)
    assert call("POST", "/api/reserve/1", {}, headers=bearer(SECRET))["statusCode"] == 201
    following = SECRET[::-1]
    vault.put("holdfast/jwt", following)
    assert call("POST", "/api/reserve/1", {}, headers=bearer(following))["statusCode"] == 200
    assert call("POST", "/api/reserve/1", {}, headers=bearer(SECRET))["statusCode"] == 401
    assert database.statuses(1) == {"ACTIVE": 1}


def test_a_secret_that_cannot_be_read_closes_what_needs_it(
    on_lambda: Any, vault: Vault, make_drop: Callable[..., int]
) -> None:
    make_drop(1)
    call = on_lambda("api.reserve", **JWT_MODE)
    assert call("POST", "/api/reserve/1", {}, headers=bearer(SECRET))["statusCode"] == 503


def test_a_header_that_was_sent_twice_is_refused(on_lambda: Any, make_drop: Callable[..., int], vault: Vault) -> None:
    make_drop(1)
    vault.put("holdfast/jwt", SECRET)
    call = on_lambda("api.reserve", **JWT_MODE)
    # API Gateway joins them.
    twice = ",".join([bearer(SECRET)["authorization"]] * 2)
    assert call("POST", "/api/reserve/1", {}, headers={"authorization": twice})["statusCode"] == 401
