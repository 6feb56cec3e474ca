"""What functions log: a JSON object a line with fields to count by, and never a secret, whatever fails."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from dev.ports import HOST, random_free, wait_until
from tests.e2e import ADMIN, CRON, CRON_SECRET
from tests.support.leaks import leaks, secrets_of
from tests.support.outage import name_of
from tests.support.servers import Servers
from tests.support.targets import gateway_process, target_environment
from tests.support.vault import Role, role_with_password

pytestmark = pytest.mark.xdist_group("e2e")

REQUEST_FIELDS = {
    "time", "level", "event", "requestId", "method", "route", "path", "status", "outcome", "ms", "databaseMs",
    "databaseCalls", "retries",
}  # fmt: skip


@pytest.fixture
def role(servers: Servers) -> Iterator[Role]:
    with role_with_password(servers) as role:
        yield role


def run(environment: dict[str, str], calls: Callable[[httpx2.Client], None]) -> list[str]:
    """The lines that a gateway wrote while `calls` were made."""
    lines: list[str] = []
    with gateway_process(environment, lines.append) as url, httpx2.Client(base_url=url, timeout=30) as client:
        calls(client)
        client.get("/api/end")
        assert wait_until(lambda: any('"/api/end"' in line for line in list(lines)), 10), lines
    return lines


def parsed(lines: list[str], event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in found if line["event"] == event]


def buy(client: httpx2.Client) -> None:
    """Everything a shop does, as far as it goes."""
    user = client.post("/api/users", json={"username": "logged"}, headers={"X-Request-Id": "the-callers-own"})
    drop = client.post("/api/drops", json={"name": "Logged", "price": 1, "totalStock": 1}, headers=ADMIN)
    ids = [
        answer.json()[kind]["id"] if answer.status_code == 201 else 1
        for answer, kind in ((user, "user"), (drop, "drop"))
    ]
    hold = client.post(f"/api/reserve/{ids[1]}", json={"userId": ids[0]})
    hold_id = hold.json()["reservation"]["id"] if hold.status_code == 201 else 1
    client.post(f"/api/purchase/{hold_id}", json={"userId": ids[0]})
    client.get("/api/cron/reap", headers=CRON)
    client.get(f"/api/drops?token={CRON_SECRET}")


def refuse(client: httpx2.Client) -> None:
    """What is wrong in ways that an error might quote."""
    client.get("/api/cron/reap", headers={"Authorization": f"Basic {CRON_SECRET}"})
    client.post("/api/drops", json={"name": CRON_SECRET, "price": CRON_SECRET}, headers=ADMIN)
    client.post("/api/drops", content=json.dumps({"a": CRON_SECRET})[:-1], headers=ADMIN)
    client.get("/api/health")


def everything(client: httpx2.Client) -> None:
    buy(client)
    refuse(client)


def test_a_request_is_one_line_with_what_there_is_to_count(servers: Servers) -> None:
    with target_environment(servers) as environment:
        lines = run(environment, buy)
    requests = parsed(lines, "http.request")
    assert all(set(line) == REQUEST_FIELDS for line in requests)
    first = requests[0]
    assert (first["requestId"], first["route"], first["status"]) == ("the-callers-own", "/api/users", 201)
    reserved = next(line for line in requests if line["route"] == "/api/reserve/{drop_id}")
    assert (reserved["outcome"], reserved["databaseCalls"], reserved["retries"]) == ("ok", 1, 0)
    assert 0 < reserved["databaseMs"] <= reserved["ms"]
    assert (requests[-1]["route"], requests[-1]["outcome"]) == (None, "not_found")
    assert abs(first["time"] - time.time()) < 120


def test_no_secret_is_logged_where_the_database_refuses_the_password(servers: Servers, role: Role) -> None:
    with target_environment(servers) as environment:
        url = role.url(name_of(environment["DATABASE_URL"])).replace(role.password, "not-the-password-of-the-role")
        environment = {**environment, "DATABASE_URL": url}
        lines = run(environment, everything)
    requests = parsed(lines, "http.request")
    assert {"database_unavailable", "validation_failed", "unauthorized"} <= {line["outcome"] for line in requests}
    assert leaks("\n".join(lines), secrets_of(environment)) == []


@pytest.mark.parametrize("broken", ["refused", "wrong secret"])
def test_no_secret_is_logged_where_the_channel_refuses(servers: Servers, role: Role, broken: str) -> None:
    with target_environment(servers) as environment:
        change = {"PUSHER_SECRET": "not-the-channels-secret"}
        if broken == "refused":
            change = {"PUSHER_HOST": HOST, "PUSHER_PORT": str(random_free())}
        environment |= change | {"DATABASE_URL": role.url(name_of(environment["DATABASE_URL"]))}
        lines = run(environment, everything)
    assert parsed(lines, "events.publish_failed")
    assert {200, 201} <= {line["status"] for line in parsed(lines, "http.request")}
    assert leaks("\n".join(lines), secrets_of(environment)) == []
