"""The built Lambda functions, each invoked through AWS' emulator with the events that AWS sends."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from dev.ports import wait_until
from tests.support.database import Database
from tests.support.lambda_runtime import Build, Functions, build, http_event, schedule_event
from tests.support.servers import TEMPLATE, Servers
from tests.support.subscriber import Subscriber

pytestmark = pytest.mark.xdist_group("lambda")

ADMIN = {"authorization": "Bearer lambda-admin-token"}


@dataclass
class Shop:
    """The running functions and what stands behind them."""

    functions: Functions
    database: Database
    users: list[int]

    def drop(self, stock: int = 5, **more: Any) -> int:
        body = {"name": "Lambda", "price": 10, "totalStock": stock, **more}
        answer = self.functions.call("POST", "/api/drops", body, headers=ADMIN)
        assert answer.status == 201, answer.text
        return int(answer.json["drop"]["id"])

    def hold(self, drop: int, user: int) -> int:
        answer = self.functions.call("POST", f"/api/reserve/{drop}", {"userId": user})
        assert answer.status == 201, answer.text
        return int(answer.json["reservation"]["id"])


@pytest.fixture(scope="session")
def built() -> Build:
    return build()


@pytest.fixture(scope="module")
def shop(built: Build, servers: Servers) -> Iterator[Shop]:
    """Everything by the template and its defaults, with the secrets in the environment; tests/test_aws_secrets.py has
    them where they belong."""
    name = f"lambda_{os.getpid()}"
    with psycopg.connect(servers.direct_url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {TEMPLATE}")
        with psycopg.connect(servers.direct_url(name), autocommit=True) as connection:
            # Channel names hold drop ids, and other tests publish to the same server.
            connection.execute("select setval(pg_get_serial_sequence('drops', 'id'), %s)", [os.getpid() * 1000 + 10**9])
            query = "insert into users (username) select 'lambda-' || n from generate_series(1, 40) n returning id"
            users = [row[0] for row in connection.execute(query).fetchall()]
            parameters = {"AuthMode": "trusted", "CorsOrigins": "https://shop.example", "CommitId": "0123abc"}
            more = {"DATABASE_URL": servers.pooled_url(name), "ADMIN_TOKEN": "lambda-admin-token", **servers.pusher_env}
            functions = Functions(built, parameters, more)
            try:
                yield Shop(functions, Database(servers.pooled_url(name), servers.direct_url(name), connection), users)
            finally:
                functions.stop()
        admin.execute(f"drop database {name} with (force)")


def test_a_buyer_finds_holds_buys_and_gives_back(shop: Shop) -> None:
    drop = shop.drop(stock=3)
    listed = shop.functions.call("GET", "/api/drops", query="limit=100&status=live")
    assert listed.status == 200 and drop in [found["id"] for found in listed.json]
    first, second = shop.hold(drop, shop.users[0]), shop.hold(drop, shop.users[1])
    bought = shop.functions.call("POST", f"/api/purchase/{first}", {"userId": shop.users[0]})
    assert bought.status == 201 and bought.json["purchase"]["reservationId"] == first
    seen = shop.functions.call("GET", f"/api/reservations/{second}", query=f"userId={shop.users[1]}")
    assert seen.status == 200 and seen.json["reservation"]["status"] == "ACTIVE"
    released = shop.functions.call("DELETE", f"/api/reservations/{second}", {"userId": shop.users[1]})
    assert released.status == 200 and released.json["reservation"]["status"] == "RELEASED"
    one = shop.functions.call("GET", f"/api/drops/{drop}", query="id=1&drop_id=1")
    assert (one.json["id"], one.json["availableStock"], one.json["soldCount"]) == (drop, 2, 1)
    restocked = shop.functions.call("POST", f"/api/drops/{drop}/restock", {"quantity": 2}, headers=ADMIN)
    assert restocked.json["drop"]["availableStock"] == 4
    assert shop.database.stock(drop) == (4, 0, 1)


def test_users_are_made_and_listed_for_the_admin_alone(shop: Shop) -> None:
    made = shop.functions.call("POST", "/api/users", {"username": "Zoë"})
    assert made.status == 201 and made.json["user"]["username"] == "Zoë"
    assert shop.functions.call("GET", "/api/users").status == 401
    listed = shop.functions.call("GET", "/api/users", query="limit=1000", headers=ADMIN)
    assert "Zoë" in [user["username"] for user in listed.json["users"]]


def test_realtime_says_where_the_channel_is(shop: Shop, servers: Servers) -> None:
    answer = shop.functions.call("GET", "/api/realtime")
    assert answer.status == 200
    assert answer.json["key"] == servers.pusher_env["PUSHER_KEY"]
    assert answer.json["options"]["wsPort"] == servers.soketi_port


def test_health_names_the_deployed_commit(shop: Shop) -> None:
    answer = shop.functions.call("GET", "/api/health")
    assert (answer.status, answer.json["status"], answer.json["commit"]) == (200, "ok", "0123abc")


def test_the_document_of_the_api_is_served(shop: Shop) -> None:
    page = shop.functions.call("GET", "/api/docs")
    assert page.status == 200 and page.text.startswith("<!doctype html>")
    document = shop.functions.call("GET", "/api/openapi.json")
    assert set(document.json["paths"]) >= {"/api/drops", "/api/reserve/{drop_id}", "/api/users"}
    again = shop.functions.call("GET", "/api/openapi.json", headers={"if-none-match": document.headers["etag"]})
    assert (again.status, again.text) == (304, "")


@pytest.mark.parametrize("path", ["/api/nothing", "/", "/api/reserve", "/api/drops/1/2/3", "/api/cron/reap"])
def test_an_unknown_address_is_a_problem_as_everywhere(shop: Shop, path: str) -> None:
    answer = shop.functions.call("GET", path)
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json" and not answer.body["isBase64Encoded"]


def test_a_wrong_method_is_told_the_right_ones(shop: Shop) -> None:
    answer = shop.functions.call("PUT", "/api/reserve/1", {"userId": 1})
    assert (answer.status, answer.json["code"], answer.headers["allow"]) == (405, "method_not_allowed", "OPTIONS, POST")


def test_browsers_of_the_allowed_origin_may_ask(shop: Shop) -> None:
    asking = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    allowed = shop.functions.call("OPTIONS", "/api/reserve/1", headers=asking)
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, "https://shop.example")
    other = shop.functions.call("OPTIONS", "/api/reserve/1", headers=asking | {"origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_base64_body_is_the_same_as_a_plain_one(shop: Shop) -> None:
    drop = shop.drop()
    event = http_event("POST", f"/api/reserve/{drop}", {"userId": shop.users[2]}, as_base64=True)
    answer = shop.functions["Reserve"].invoke(event)
    assert answer.status == 201 and answer.json["reservation"]["userId"] == shop.users[2]


def test_cookies_disturb_nothing(shop: Shop) -> None:
    answer = shop.functions.call("GET", "/api/drops", cookies=["session=a%20b", "other=1"], query="limit=1")
    assert answer.status == 200 and "cookies" not in answer.body


def test_broken_json_and_a_body_too_large_are_refused(shop: Shop) -> None:
    json_type = {"content-type": "application/json"}
    broken = shop.functions.call("POST", "/api/reserve/1", '{"userId": ', headers=json_type)
    assert (broken.status, broken.json["code"]) == (400, "malformed_json")
    large = shop.functions.call("POST", "/api/reserve/1", '{"userId": "' + "x" * 70_000 + '"}', headers=json_type)
    assert (large.status, large.json["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        None,
        "text",
        {"version": "1.0", "httpMethod": "GET", "path": "/api/health", "headers": {}, "requestContext": {}},
        {"version": "2.0", "requestContext": {"http": {"method": "GET"}}, "headers": {}},
        {"version": "2.0", "requestContext": None, "headers": {}},
        {**http_event("GET", "/api/health"), "headers": None},
        {**http_event("POST", "/api/health"), "body": "no base64 at all!", "isBase64Encoded": True},
        schedule_event(),
    ],
    ids=["empty", "list", "null", "text", "v1", "no path", "no context", "no headers", "bad base64", "schedule"],
)
def test_a_malformed_event_fails_clearly_and_the_process_goes_on(shop: Shop, event: Any) -> None:
    health = shop.functions["Health"]
    assert health.call("GET", "/api/health").status == 200
    process = health.runtime_pid()
    answer = health.invoke(event)
    assert answer.failed and answer.body["errorType"] == "UnexpectedEvent", answer.body
    assert "HTTP" in answer.body["errorMessage"]
    assert health.call("GET", "/api/health").status == 200 and health.runtime_pid() == process


def test_a_request_carries_lambdas_id_unless_it_brought_one(shop: Shop) -> None:
    health = shop.functions["Health"]
    lambdas = health.call("GET", "/api/health").headers["x-request-id"]
    assert len(lambdas) == 36
    # They are written when the reply has gone out.
    assert wait_until(lambda: any(f"RequestId: {lambdas}" in line for line in health.lines), 10), "Lambda's own lines"
    own = health.call("GET", "/api/health", headers={"X-Request-Id": "my-own-id"})
    assert own.headers["x-request-id"] == "my-own-id"
    assert {lambdas, "my-own-id"} <= {line["requestId"] for line in health.wait_for_log("http.request", 2)}


def test_what_a_sale_commits_is_published_before_its_reply_and_within_half_a_second(
    shop: Shop, servers: Servers
) -> None:
    drop = shop.drop()
    shop.hold(drop, shop.users[3])  # a cold start is over
    with Subscriber(servers.pusher_env, f"cache-drop-{drop}", f"drop-{drop}") as viewer:
        began = time.monotonic()
        hold = shop.hold(drop, shop.users[4])
        assert time.monotonic() - began < 1.0
        viewer.wait_for(lambda event: event["event"] == "stockUpdate" and event["data"]["availableStock"] == 3, 1)
        bought = shop.functions.call("POST", f"/api/purchase/{hold}", {"userId": shop.users[4]})
        assert bought.status == 201
        event = viewer.wait_for(lambda event: event["event"] == "newPurchase", 1)
        assert event["data"]["userId"] == shop.users[4]


def test_the_schedule_expires_what_is_due_and_delivers_what_is_left(shop: Shop, servers: Servers) -> None:
    drop = shop.drop(holdSeconds=60)
    shop.hold(drop, shop.users[5])
    shop.database.shift_clock(61)
    with Subscriber(servers.pusher_env, f"cache-drop-{drop}") as viewer:
        answer = shop.functions["Sweep"].invoke(schedule_event())
        assert not answer.failed, answer.body
        assert answer.body["expired"] >= 1 and answer.body["published"] >= 1
        viewer.wait_for(lambda event: event["event"] == "stockUpdate" and event["data"]["availableStock"] == 5, 1)
    assert shop.database.statuses(drop) == {"EXPIRED": 1}
    state = shop.functions["Sweep"].wait_for_log("sweep.started")[-1]
    assert state["overdueHolds"] >= 1 and 1 <= state["oldestOverdueSeconds"] < 60
    assert state["requestId"] in "\n".join(shop.functions["Sweep"].lines)


def test_only_the_clock_starts_a_sweep(shop: Shop) -> None:
    for event in ({}, None, http_event("GET", "/")):
        answer = shop.functions["Sweep"].invoke(event)
        assert answer.body["errorType"] == "UnexpectedEvent" and "scheduled" in answer.body["errorMessage"]


def test_a_function_that_thaws_with_dead_sockets_answers_at_once(built: Build, shop: Shop) -> None:
    drop = shop.drop(stock=20)
    direct = Functions(built, {"AuthMode": "trusted"}, {"DATABASE_URL": shop.database.direct_url})
    try:
        reserve = direct["Reserve"]
        times_ms = [reserve.call("POST", f"/api/reserve/{drop}", {"userId": user}).ms for user in shop.users[10:14]]
        reserve.freeze()
        query = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
        assert shop.database.rows(f"{query} and pid <> pg_backend_pid()")
        reserve.thaw()
        answer = reserve.call("POST", f"/api/reserve/{drop}", {"userId": shop.users[15]})
        assert answer.status == 201, answer.text
        assert answer.ms < min(times_ms) + 500
    finally:
        direct.stop()
    assert shop.database.stock(drop) == (15, 5, 0)


def test_a_database_that_is_gone_is_a_clear_503(built: Build) -> None:
    gone = Functions(built, {}, {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})
    try:
        answer = gone.call("GET", "/api/health")
        assert (answer.status, answer.json["status"], answer.json["code"]) == (503, "down", "database_unavailable")
        swept = gone["Sweep"].invoke(schedule_event())
        assert swept.body["errorType"] == "SweepFailed" and swept.body["errorMessage"] == "database_unavailable"
        closed = gone.call("POST", "/api/reserve/1", {"userId": 1})
        assert (closed.status, closed.json["code"]) == (503, "not_configured"), "AUTH_MODE is not set"
        text = json.dumps([answer.body, swept.body, closed.body])
        assert "psycopg" not in text and "127.0.0.1" not in text
    finally:
        gone.stop()
