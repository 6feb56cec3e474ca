"""Fixtures: a function's Lambda handler in this process, and AWS' services that keep its secrets."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lib import aws, db
from lib import settings as settings_module
from tests.support.database import Database
from tests.support.lambda_runtime import current_event_loop, http_event
from tests.support.servers import Servers
from tests.support.vault import Role, Vault, open_vault, role_with_password


@pytest.fixture
def vault() -> Iterator[Vault]:
    with open_vault() as opened:
        yield opened


@pytest.fixture
def role(servers: Servers) -> Iterator[Role]:
    with role_with_password(servers) as made:
        yield made


@pytest.fixture
def on_lambda(
    database: Database, vault: Vault, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Callable[..., Any]]]:
    """on_lambda("api.health", DATABASE_URL_SECRET=...): the handler of a function in this process, called with
    events."""
    monkeypatch.setattr(settings_module, "_secrets", {})
    monkeypatch.setattr(db, "on_authentication_failure", db.on_authentication_failure)

    def start(function: str, **variables: str | None) -> Callable[..., Any]:
        lambdas = {"AWS_LAMBDA_FUNCTION_NAME": "holdfast", "HOLDFAST_ENV": None, "AUTH_MODE": "trusted"}
        configure(**{**vault.environment(), **lambdas, **variables})
        handler = aws.make_handler(function, aws.Secrets())
        context = SimpleNamespace(aws_request_id="request-1", get_remaining_time_in_millis=lambda: 15_000)
        return lambda *args, **more: handler(http_event(*args, **more), context)

    with current_event_loop():
        yield start
