"""Who may do what: admin, clock and buyers each prove who they are. Production without the secrets is closed."""

import hmac
import itertools
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from fastapi.security import HTTPAuthorizationCredentials

from lib import auth, inventory
from lib.errors import Unauthorized
from lib.settings import read, settings
from tests.support.api import problem, unchanged
from tests.support.database import Database

Configure = Callable[..., None]
MakeDrop = Callable[..., int]
MakeUsers = Callable[[int], list[int]]

ADMIN = "an admin secret"
CRON = "a cron secret"
DROP = {"name": "x", "price": 1, "totalStock": 1}
ADMIN_CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/api/drops", DROP),
    ("PATCH", "/api/drops/1", {"name": "y"}),
    ("POST", "/api/drops/1/restock", {"quantity": 1}),
    ("GET", "/api/admin/drops", None),
    ("GET", "/api/drops/1/stats", None),
    ("GET", "/api/drops/1/history", None),
    ("GET", "/api/drops/1/holds", None),
    ("GET", "/api/drops/1/purchases", None),
    ("GET", "/api/drops/1/purchases.csv", None),
]
USER_LIST = ("GET", "/api/users", None)
SWEEP = ("GET", "/api/cron/reap", None)
BUYER_CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/api/reserve/1", {"userId": 1}),
    ("POST", "/api/purchase/1", {"userId": 1}),
    ("GET", "/api/reservations/1?userId=1", None),
    ("DELETE", "/api/reservations/1", {"userId": 1}),
    ("GET", "/api/reservations?dropId=1&userId=1", None),
]
# The ways in which an environment says that it is production.
PRODUCTIONS: list[dict[str, str | None]] = [
    {"HOLDFAST_ENV": "production"},
    {"HOLDFAST_ENV": None, "VERCEL_ENV": "production"},
    {"HOLDFAST_ENV": None, "VERCEL_ENV": "preview"},
    {"HOLDFAST_ENV": "development", "VERCEL_ENV": "production"},
    {"HOLDFAST_ENV": None, "AWS_LAMBDA_FUNCTION_NAME": "holdfast"},
]
WRONG = [
    None,
    "",
    "Bearer",
    f"Bearer {ADMIN}x",
    f"Bearer {ADMIN[:-1]}",
    f"Bearer {ADMIN.upper()}",
    f"Bearer x {ADMIN}",
    f"Bearer,{ADMIN}",
    f"Basic {ADMIN}",
    f"Token {ADMIN}",
    ADMIN,
    "Bearer null",
    "Bearer undefined",
    "Bearer caf\xe9",
    "Bearer \xff\xfe",
    "Bearer " + "x" * 8000,
    f"Bearer {CRON}",
]


def call(client: httpx2.Client, what: tuple[str, str, Any], authorization: str | None = None) -> httpx2.Response:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    return client.request(what[0], what[1], json=what[2], headers=headers)


@pytest.fixture
def stock(make_drop: MakeDrop, make_users: MakeUsers) -> None:
    """Drop 1, and hold 1 of user 1, so that every call would succeed."""
    make_users(1)
    make_drop(5)
    inventory.reserve(1, 1)


def test_the_admins_routes_refuse_every_wrong_token(
    client: httpx2.Client, database: Database, stock: None, configure: Configure
) -> None:
    configure(ADMIN_TOKEN=ADMIN, CRON_SECRET=CRON)
    with unchanged(database):
        for what, wrong in itertools.product(ADMIN_CALLS, WRONG):
            problem(call(client, what, wrong), 401, "unauthorized")


def test_the_admins_routes_open_with_the_token(client: httpx2.Client, stock: None, configure: Configure) -> None:
    configure(ADMIN_TOKEN=ADMIN, HOLDFAST_ENV="production")
    for what, scheme in itertools.product(ADMIN_CALLS, ("Bearer", "bearer", "BEARER")):
        assert call(client, what, f"{scheme} {ADMIN}").is_success


def test_a_refused_admin_learns_nothing_of_the_request_it_made(
    client: httpx2.Client, database: Database, configure: Configure
) -> None:
    configure(ADMIN_TOKEN=ADMIN)
    answers = [client.patch("/api/drops/99", json={"name": "x"}), client.patch("/api/drops/1", json={})]
    for answer in answers:
        problem(answer, 401, "unauthorized")
        assert ADMIN not in answer.text


def test_development_without_an_admin_token_is_open(client: httpx2.Client, stock: None, configure: Configure) -> None:
    assert all(call(client, what).is_success for what in [*ADMIN_CALLS, USER_LIST])


def test_the_list_of_users_is_for_admins_outside_development(
    client: httpx2.Client, database: Database, configure: Configure
) -> None:
    configure(ADMIN_TOKEN=ADMIN)
    assert call(client, USER_LIST).status_code == 200
    configure(ADMIN_TOKEN=ADMIN, HOLDFAST_ENV="production")
    problem(call(client, USER_LIST), 401, "unauthorized")
    assert call(client, USER_LIST, f"Bearer {ADMIN}").status_code == 200


def test_the_clock_has_a_secret_of_its_own(client: httpx2.Client, database: Database, configure: Configure) -> None:
    configure(ADMIN_TOKEN=ADMIN, CRON_SECRET=CRON, SWEEP_BUDGET_SECONDS="0")
    for wrong in [*WRONG[:-1], f"Bearer {ADMIN}"]:
        problem(call(client, SWEEP, wrong), 401, "unauthorized")
    answer = call(client, SWEEP, f"Bearer {CRON}")
    assert (answer.status_code, set(answer.json())) == (200, {"expired", "published", "sweeps", "nextDueAt"})


def test_the_clocks_door_expires_what_is_due(
    client: httpx2.Client, database: Database, stock: None, configure: Configure
) -> None:
    configure(SWEEP_BUDGET_SECONDS="0")
    database.shift_clock(61)
    assert call(client, SWEEP).json()["expired"] == 1
    assert (database.statuses(1), database.stock(1)) == ({"EXPIRED": 1}, (5, 0, 0))


@pytest.mark.parametrize("production", PRODUCTIONS, ids=str)
def test_production_without_secrets_is_closed_route_by_route(
    client: httpx2.Client, database: Database, stock: None, configure: Configure, production: dict[str, str | None]
) -> None:
    configure(**production)
    closed = {
        "ADMIN_TOKEN": [*ADMIN_CALLS, USER_LIST],
        "CRON_SECRET": [SWEEP],
        "AUTH_MODE": BUYER_CALLS,
    }
    with unchanged(database):
        for setting, calls in closed.items():
            for what, authorization in itertools.product(calls, (None, "Bearer", "Bearer x", "Bearer None")):
                detail = problem(call(client, what, authorization), 503, "not_configured")["detail"]
                assert setting in detail, what


@pytest.mark.parametrize("missing", ["ADMIN_TOKEN", "CRON_SECRET", "AUTH_MODE"])
@pytest.mark.parametrize("as_what", [None, ""])
def test_each_secret_closes_only_its_own_routes(
    client: httpx2.Client, stock: None, configure: Configure, missing: str, as_what: str | None
) -> None:
    secrets: dict[str, str | None] = {"ADMIN_TOKEN": ADMIN, "CRON_SECRET": CRON, "AUTH_MODE": "trusted"}
    configure(HOLDFAST_ENV="production", SWEEP_BUDGET_SECONDS="0", **{**secrets, missing: as_what})
    answers = {
        "ADMIN_TOKEN": [call(client, what, f"Bearer {ADMIN}") for what in [*ADMIN_CALLS, USER_LIST]],
        "CRON_SECRET": [call(client, SWEEP, f"Bearer {CRON}")],
        "AUTH_MODE": [call(client, what) for what in BUYER_CALLS[:2]],
    }
    for setting, found in answers.items():
        assert [answer.is_success for answer in found] == [setting != missing] * len(found), setting


def test_what_everybody_reads_is_open_in_production(client: httpx2.Client, stock: None, configure: Configure) -> None:
    configure(HOLDFAST_ENV="production")
    for path in ("/api/drops", "/api/drops/1", "/api/health", "/api/openapi.json", "/api/docs"):
        assert client.get(path).status_code == 200, path


def test_several_secrets_are_good_at_once_so_that_one_can_be_changed(
    client: httpx2.Client, stock: None, configure: Configure
) -> None:
    configure(ADMIN_TOKEN=f"new admin, {ADMIN}", CRON_SECRET=f"new cron,{CRON}", SWEEP_BUDGET_SECONDS="0")
    for secret in ("new admin", ADMIN):
        assert call(client, USER_LIST, f"Bearer {secret}").status_code == 200
        assert call(client, ADMIN_CALLS[1], f"Bearer {secret}").status_code == 200
    # The last is what Vercel's clock sends: the variable as it stands.
    for secret in ("new cron", CRON, f"new cron,{CRON}"):
        assert call(client, SWEEP, f"Bearer {secret}").status_code == 200
    for wrong in (f"new admin, {ADMIN}", "new", "", ",", "new cron", f"{ADMIN},"):
        problem(call(client, ADMIN_CALLS[1], f"Bearer {wrong}".strip()), 401, "unauthorized")
    for wrong in ("new admin", ",", f"{CRON},new cron", f"{CRON}, "):
        problem(call(client, SWEEP, f"Bearer {wrong}".strip()), 401, "unauthorized")


@pytest.mark.parametrize("blank", [",", " , ,"])
def test_a_list_of_no_secrets_is_no_secret(
    client: httpx2.Client, database: Database, configure: Configure, blank: str
) -> None:
    configure(ADMIN_TOKEN=blank, CRON_SECRET=blank, HOLDFAST_ENV="production", AUTH_MODE="trusted")
    for authorization in (None, "Bearer", "Bearer ,", f"Bearer {blank}".strip()):
        for what, name in ((ADMIN_CALLS[0], "ADMIN_TOKEN"), (SWEEP, "CRON_SECRET")):
            assert name in problem(call(client, what, authorization), 503, "not_configured")["detail"]
    assert client.get("/api/health").json()["configuration"] == ["ADMIN_TOKEN", "CRON_SECRET"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_two_authorization_headers_are_none(
    client: httpx2.Client, database: Database, configure: Configure, scheme: str
) -> None:
    configure(ADMIN_TOKEN=ADMIN, CRON_SECRET=CRON)
    for secret, (method, path, body) in ((ADMIN, ADMIN_CALLS[0]), (CRON, SWEEP)):
        headers = [("Authorization", f"{scheme} {secret}"), ("Authorization", f"{scheme} {secret}")]
        problem(client.request(method, path, json=body, headers=headers), 401, "unauthorized")


def test_health_names_what_is_missing_without_any_value(
    client: httpx2.Client, database: Database, configure: Configure
) -> None:
    assert client.get("/api/health").json()["configuration"] == []
    configure(HOLDFAST_ENV="production")
    health = client.get("/api/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["configuration"] == ["AUTH_MODE", "ADMIN_TOKEN", "CRON_SECRET"]
    configure(HOLDFAST_ENV="production", AUTH_MODE="trusted", ADMIN_TOKEN=ADMIN, CRON_SECRET=CRON)
    health = client.get("/api/health")
    assert (health.json()["status"], health.json()["configuration"]) == ("ok", [])
    assert ADMIN not in health.text and CRON not in health.text


def test_health_names_it_while_the_database_is_down_too(
    client: httpx2.Client, database: Database, configure: Configure
) -> None:
    configure(HOLDFAST_ENV="production", DATABASE_URL="postgresql://postgres@127.0.0.1:1/nothing")
    assert client.get("/api/health").json()["configuration"] == ["AUTH_MODE", "ADMIN_TOKEN", "CRON_SECRET"]


def test_in_trusted_mode_the_user_is_who_the_request_says(
    client: httpx2.Client, database: Database, stock: None, configure: Configure
) -> None:
    configure(AUTH_MODE="trusted", HOLDFAST_ENV="production")
    assert call(client, BUYER_CALLS[0]).json()["reservation"]["userId"] == 1
    assert call(client, BUYER_CALLS[2]).status_code == 200
    assert call(client, BUYER_CALLS[1]).status_code == 201


def test_in_trusted_mode_who_does_not_say_is_asked(client: httpx2.Client, database: Database, stock: None) -> None:
    with unchanged(database):
        for method, path, body in BUYER_CALLS:
            anonymous = (method, re.sub("[?&]userId=1$", "", path), None if body is None else {})
            assert "userId" in problem(call(client, anonymous), 422, "validation_failed")["detail"]


def test_a_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, configure: Configure) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest
    monkeypatch.setattr(auth.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    configure(ADMIN_TOKEN="first, second,third", CRON_SECRET="first,second")

    def lengths(check: Callable[..., None], given: str) -> list[tuple[int, int]]:
        compared.clear()
        with suppress(Unauthorized):
            check(HTTPAuthorizationCredentials(scheme="Bearer", credentials=given))
        return [(len(one), len(other)) for one, other in compared]

    # Whatever is given, each secret is compared, and what is compared shows not even a length.
    for given in ("first", "third", "nothing", "x" * 5000):
        assert lengths(auth.require_admin, given) == [(32, 32)] * 3
        assert lengths(auth.require_cron, given) == [(32, 32)] * 3


@pytest.mark.parametrize("value", ["JWT", "TRUSTED", "none", "1"])
def test_an_identity_mode_that_does_not_exist_opens_nothing(configure: Configure, value: str) -> None:
    configure(AUTH_MODE=value)
    with pytest.raises(ValueError, match="auth_mode"):
        settings()


def test_a_value_that_cannot_be_used_is_named_but_never_shown() -> None:
    """It may be a secret in the wrong variable, and this error is logged."""
    with pytest.raises(ValueError, match="database_pool_max") as refused:
        read({"DATABASE_POOL_MAX": "hunter2", "ADMIN_TOKEN": "hunter3"})
    assert "hunter" not in str(refused.value)


def test_an_empty_variable_is_none_and_words_become_values() -> None:
    s = read({"ADMIN_TOKEN": "", "DATABASE_POOL_MAX": "", "PUSHER_USE_TLS": "false", "LOG_LEVEL": "debug", "X": "1"})
    assert (s.admin_token, s.database_pool_max, s.pusher_use_tls, s.log_level) == (None, 10, False, "DEBUG")


def test_no_secret_has_a_default(configure: Configure) -> None:
    configure(**dict.fromkeys(("ADMIN_TOKEN", "CRON_SECRET", "AUTH_MODE", "PUSHER_SECRET", "PUSHER_KEY")))
    s = settings()
    assert [s.admin_token, s.cron_secret, s.auth_mode, s.pusher_secret, s.pusher_key] == [None] * 5
