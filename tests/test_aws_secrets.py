"""Secrets on Lambda: read once, read again when they were rotated, never told to anybody."""

import json
import logging
import os
from collections.abc import Callable
from typing import Any

import pytest

from dev import sam
from dev.processes import Child
from lib import aws, db, inventory
from lib import settings as settings_module
from lib.secret_formats import FORMATS
from lib.settings import settings
from tests.support.database import Database
from tests.support.lambda_runtime import Build, Functions, build, http_event
from tests.support.on_lambda import on_lambda, role, vault
from tests.support.servers import Servers
from tests.support.snapshot import RuntimeApi
from tests.support.vault import Role, Vault

__all__ = ["on_lambda", "role", "vault"]

pytestmark = pytest.mark.xdist_group("lambda")

TOKEN, CHANNEL_SECRET = "token-that-nobody-may-see", "channel-secret-that-nobody-may-see"
CHANNEL = {"PUSHER_APP_ID": "1", "PUSHER_KEY": "a-key", "PUSHER_SECRET": CHANNEL_SECRET}


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[logging.LogRecord]:
    """What the functions of this process log."""
    records: list[logging.LogRecord] = []
    logger, handler = logging.getLogger("holdfast"), logging.Handler()
    monkeypatch.setattr(handler, "emit", records.append)
    monkeypatch.setattr(logger, "handlers", [handler])
    return records


def json_of(answer: Any) -> Any:
    return json.loads(answer["body"])


@pytest.mark.parametrize(
    ("setting", "text", "values"),
    [
        ("DATABASE_URL_SECRET", " postgresql://u:p@h/d\n", {"database_url": "postgresql://u:p@h/d"}),
        ("DATABASE_URL_SECRET", '{"DATABASE_URL": "postgres://u@h/d"}', {"database_url": "postgres://u@h/d"}),
        (
            "DATABASE_URL_SECRET",
            '{"engine": "postgres", "username": "u", "password": "a/b@c:d", "host": "h", "port": 6432, "dbname": "d"}',
            {"database_url": "postgresql://u:a%2Fb%40c%3Ad@h:6432/d?sslmode=require"},
        ),
        ("ADMIN_TOKEN_SECRET", "t0ken\n", {"admin_token": "t0ken"}),
        ("ADMIN_TOKEN_SECRET", '{"ADMIN_TOKEN": "t0ken"}', {"admin_token": "t0ken"}),
        (
            "PUSHER_SECRET_ID",
            '{"PUSHER_APP_ID": 7, "PUSHER_KEY": "k", "PUSHER_SECRET": "s", "PUSHER_CLUSTER": "eu"}',
            {"pusher_app_id": "7", "pusher_key": "k", "pusher_secret": "s", "pusher_cluster": "eu"},
        ),
    ],
)
def test_a_secret_is_plain_or_json(setting: str, text: str, values: dict[str, str]) -> None:
    assert FORMATS[setting](text) == values
    assert set(values) <= set(settings_module.Settings.model_fields)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("DATABASE_URL_SECRET", "mysql://u@h/d"),
        ("DATABASE_URL_SECRET", '{"username": "u"}'),
        ("PUSHER_SECRET_ID", "just-a-secret"),
        ("PUSHER_SECRET_ID", '{"PUSHER_APP_ID": "1", "PUSHER_KEY": "k"}'),
        ("ADMIN_TOKEN_SECRET", " "),
    ],
)
def test_a_secret_of_another_shape_is_refused(setting: str, text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        FORMATS[setting](text)


def test_the_settings_that_name_secrets_are_those_with_a_format() -> None:
    assert {name.lower() for name in FORMATS} <= set(settings_module.Settings.model_fields)


def test_built_functions_read_their_secrets_once_and_follow_a_rotation(
    built: Build, database: Database, servers: Servers, vault: Vault, role: Role
) -> None:
    name = database.value("select current_database()")
    channel = {key: servers.pusher_env[key] for key in CHANNEL}
    arns = [
        vault.put("holdfast/database", role.url(name)),
        vault.put_parameter("/holdfast/channel", json.dumps(channel)),
        vault.put("holdfast/admin", TOKEN),
    ]
    parameters = dict(zip(("DatabaseUrlSecretArn", "PusherSecretArn", "AdminTokenSecretArn"), arns, strict=True))
    parameters |= {key: servers.pusher_env[variable] for key, variable in _CHANNEL_PARAMETERS.items()}
    functions = Functions(built, {**parameters, "AuthMode": "trusted"}, vault.environment())
    first_url = role.url(name)
    try:
        drops = functions["Drops"]
        made = [_create(functions, TOKEN) for _ in range(3)]
        assert [answer.status for answer in made] == [201, 201, 201], made
        assert sorted(vault.reads) == sorted([arns[0], arns[1], arns[2]]), "once for each, not for each request"
        assert functions.call("GET", "/api/realtime").json["key"] == channel["PUSHER_KEY"]

        role.change_password("second-password-of-the-role")
        vault.put("holdfast/database", role.url(name))
        assert _create(functions, TOKEN).status == 201, "the rotated password is fetched and used at once"
        assert vault.reads.count(arns[0]) == 2
        assert drops.wait_for_log("http.request", 4)[3]["retries"] >= 1

        vault.put("holdfast/admin", "second-token")
        assert _create(functions, "a guess").status == 401
        assert (_create(functions, "second-token").status, _create(functions, TOKEN).status) == (201, 401)
        everything = "\n".join(line for function in ("Drops", "Realtime") for line in functions[function].lines)
    finally:
        functions.stop()
    hidden = [first_url, role.password, TOKEN, "second-token", channel["PUSHER_SECRET"], "first-password-of-the-role"]
    assert not [secret for secret in hidden if secret in everything]


_CHANNEL_PARAMETERS = {"PusherHost": "PUSHER_HOST", "PusherPort": "PUSHER_PORT", "PusherUseTls": "PUSHER_USE_TLS"}


def _create(functions: Functions, token: str) -> Any:
    body = {"name": "Secrets", "price": 1, "totalStock": 1}
    return functions.call("POST", "/api/drops", body, headers={"authorization": f"Bearer {token}"})


@pytest.fixture(scope="session")
def built() -> Build:
    return build()


def test_a_snapshot_holds_no_secret_and_no_connection(built: Build, database: Database, vault: Vault) -> None:
    arn = vault.put("holdfast/database", database.direct_url)
    task = built.folder / "Health"
    api = RuntimeApi()
    environment = {
        **built.template.environment("Health", {"DatabaseUrlSecretArn": arn, "AuthMode": "trusted"}),
        **vault.environment(),
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "AWS_LAMBDA_FUNCTION_NAME": "holdfast-Health",
        "PYTHONPATH": f"{task}{os.pathsep}{sam.runtime(built.python)}",
    }
    child = Child("snapshot", [built.python, "-m", "awslambdaric", "lib.aws.handler"], env=environment, cwd=task)
    connections = "select count(*) from pg_stat_activity where application_name = 'holdfast'"
    connections += " and datname = current_database()"
    try:
        assert api.snapshot_due.wait(30), child.last_words()
        assert vault.reads == [] and database.value(connections) == 0
        api.restore()
        for _ in range(2):
            answer = api.invoke(http_event("GET", "/api/health"))
            assert (answer["statusCode"], json_of(answer)["status"]) == (200, "ok"), answer
        assert vault.reads == [arn] and database.value(connections) == 1
    finally:
        child.kill()
        api.stop()


def test_a_missing_secret_is_a_clear_503_and_heals(
    on_lambda: Any, vault: Vault, database: Database, monkeypatch: pytest.MonkeyPatch, logged: list[logging.LogRecord]
) -> None:
    call = on_lambda("api.reserve", DATABASE_URL=None, DATABASE_URL_SECRET="holdfast/absent")
    answer = call("POST", "/api/reserve/1", {"userId": 1})
    assert (answer["statusCode"], json_of(answer)["code"]) == (503, "not_configured")
    assert "DATABASE_URL_SECRET" in json_of(answer)["detail"]
    (line,) = [record for record in logged if record.getMessage() == "secrets.unreadable"]
    assert line.fields == {"setting": "DATABASE_URL_SECRET", "reason": "ResourceNotFoundException"}
    vault.put("holdfast/absent", database.url)
    call("POST", "/api/reserve/1", {"userId": 1})
    assert vault.reads == ["holdfast/absent"], "asked for again only after a while"
    monkeypatch.setattr(aws, "RETRY_SECONDS", 0.0)
    healed = call("POST", "/api/reserve/1", {"userId": 1})
    assert (healed["statusCode"], json_of(healed)["code"]) == (404, "drop_not_found")


def test_health_says_that_the_databases_secret_is_missing(on_lambda: Any) -> None:
    call = on_lambda("api.health", DATABASE_URL=None, DATABASE_URL_SECRET="holdfast/absent")
    answer = call("GET", "/api/health")
    assert (answer["statusCode"], json_of(answer)["status"], json_of(answer)["code"]) == (503, "down", "not_configured")


def test_a_secret_that_makes_no_sense_is_not_logged(
    on_lambda: Any, vault: Vault, logged: list[logging.LogRecord]
) -> None:
    vault.put("holdfast/database", f"mysql://{TOKEN}@h/d")
    vault.put("holdfast/channel", json.dumps({"PUSHER_SECRET": CHANNEL_SECRET}))
    call = on_lambda(
        "api.reserve", DATABASE_URL=None, DATABASE_URL_SECRET="holdfast/database", PUSHER_SECRET_ID="holdfast/channel"
    )
    answer = call("POST", "/api/reserve/1", {"userId": 1})
    assert json_of(answer)["code"] == "not_configured"
    told = json.dumps([[record.__dict__ for record in logged], answer], default=str)
    assert TOKEN not in told and CHANNEL_SECRET not in told and "secrets.unreadable" in told


def test_without_its_secret_the_channel_is_not_taken_for_none(
    on_lambda: Any, database: Database, make_drop: Callable[..., int], make_users: Callable[[int], list[int]]
) -> None:
    drop, (user,) = make_drop(), make_users(1)
    call = on_lambda("api.reserve", DATABASE_URL_SECRET=None, PUSHER_SECRET_ID="holdfast/absent")
    assert call("POST", f"/api/reserve/{drop}", {"userId": user})["statusCode"] == 201, "no sale waits for the channel"
    assert database.value("select count(*) from outbox") > 0, "its event waits for it"


def test_a_missing_admin_token_closes_the_admin_routes_alone(on_lambda: Any, make_drop: Callable[..., int]) -> None:
    make_drop()
    call = on_lambda("api.drops", ADMIN_TOKEN_SECRET="holdfast/absent")
    assert call("GET", "/api/drops")["statusCode"] == 200
    refused = call("POST", "/api/drops", {"name": "x", "price": 1, "totalStock": 1})
    assert (refused["statusCode"], json_of(refused)["code"]) == (503, "not_configured")


def test_a_withdrawn_token_stops_working_after_a_while(
    on_lambda: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.put("holdfast/admin", TOKEN)
    call = on_lambda("api.users", ADMIN_TOKEN_SECRET="holdfast/admin")
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert call("GET", "/api/users", headers=headers)["statusCode"] == 200
    vault.put("holdfast/admin", "another")
    assert call("GET", "/api/users", headers=headers)["statusCode"] == 200
    monkeypatch.setattr(aws, "MAX_AGE_SECONDS", 0.0)
    assert call("GET", "/api/users", headers=headers)["statusCode"] == 401


def test_a_service_that_is_down_later_takes_nothing_away(
    on_lambda: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.put("holdfast/admin", TOKEN)
    call = on_lambda("api.users", ADMIN_TOKEN_SECRET="holdfast/admin")
    monkeypatch.setattr(aws, "MAX_AGE_SECONDS", 0.0)
    monkeypatch.setattr(aws.Secrets, "_fetch", lambda self, reference: 1 / 0)
    assert call("GET", "/api/users", headers={"authorization": f"Bearer {TOKEN}"})["statusCode"] == 200


def test_guesses_of_a_token_do_not_reach_the_service_each(on_lambda: Any, vault: Vault) -> None:
    vault.put("holdfast/admin", TOKEN)
    call = on_lambda("api.users", ADMIN_TOKEN_SECRET="holdfast/admin")
    for guess in range(10):
        assert call("GET", "/api/users", headers={"authorization": f"Bearer {guess}"})["statusCode"] == 401
    assert len(vault.reads) == 2


def test_a_wrong_password_that_was_not_rotated_is_a_503(
    on_lambda: Any, vault: Vault, role: Role, database: Database
) -> None:
    role.password = "wrong"
    vault.put("holdfast/database", role.url(database.value("select current_database()")))
    call = on_lambda("api.health", DATABASE_URL=None, DATABASE_URL_SECRET="holdfast/database")
    for _ in range(3):
        answer = call("GET", "/api/health")
        assert (answer["statusCode"], json_of(answer)["code"]) == (503, "database_unavailable")
    assert len(vault.reads) == 2


def test_elsewhere_a_refused_password_is_no_reason_to_try_again(role: Role, configure: Callable[..., None]) -> None:
    role.password = "wrong"
    configure(DATABASE_URL=role.url("postgres"))
    with pytest.raises(db.DatabaseUnavailable):
        inventory.health()
    assert settings().database_url == role.url("postgres")
