"""One OpenAPI document for all functions, which says what the routes really do: they are asked, and held against it."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.openapi.models import OpenAPI

from lib import inventory
from lib.errors import BY_CODE
from tests.support.database import Database
from tests.support.schema import mismatches, resolve

ROOT = Path(__file__).resolve().parent.parent
HTTP_METHODS = {"get", "post", "patch", "put", "delete"}

# Every route of the contract with the codes it can refuse with, beside what every route can answer.
# What a route that asks who is there can say to it.
IDENTITY = {"unauthorized", "forbidden", "not_configured", "issuer_unavailable"}
ROUTES: dict[str, set[str]] = {
    "GET /api/drops": set(),
    "GET /api/drops/{drop_id}": {"drop_not_found"},
    "POST /api/drops": {"idempotency_mismatch", *IDENTITY},
    "PATCH /api/drops/{drop_id}": {"drop_not_found", "drop_cancelled", *IDENTITY},
    "POST /api/drops/{drop_id}/restock": {
        *("drop_not_found", "size_required", "unknown_size", "stock_committed", "idempotency_mismatch"),
        *IDENTITY,
    },
    "POST /api/reserve/{drop_id}": {
        *("drop_not_found", "user_not_found", "drop_not_started", "drop_ended", "drop_paused", "drop_cancelled"),
        *("size_required", "unknown_size", "limit_reached", "rate_limited", "sold_out"),
        *IDENTITY,
    },
    "POST /api/purchase/{reservation_id}": {
        *("reservation_not_found", "not_owner", "reservation_expired", "reservation_closed", "drop_cancelled"),
        *IDENTITY,
    },
    "GET /api/reservations": IDENTITY,
    "GET /api/reservations/{reservation_id}": {"reservation_not_found", "not_owner", *IDENTITY},
    "DELETE /api/reservations/{reservation_id}": {
        *("reservation_not_found", "not_owner", "reservation_expired", "reservation_closed"),
        *IDENTITY,
    },
    "POST /api/users": {"username_taken", "idempotency_mismatch", *IDENTITY},
    "GET /api/users": IDENTITY,
    "GET /api/admin/drops": IDENTITY,
    **{
        f"GET /api/drops/{{drop_id}}/{report}": {"drop_not_found", *IDENTITY}
        for report in ("stats", "history", "holds", "purchases", "purchases.csv", "audit")
    },
    "GET /api/realtime": {"not_configured"},
    "GET /api/cron/reap": {"unauthorized", "not_configured"},
    "GET /api/health": set(),
}
ALWAYS = {"validation_failed", "busy", "database_unavailable"}


@pytest.fixture
def document(client: httpx2.Client) -> dict[str, Any]:
    answer = client.get("/api/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in HTTP_METHODS
    }


def inside(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document, however deep."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from inside(item)


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPI.model_validate(document)


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: dict[str, Any]) -> None:
    references = {part["$ref"] for part in inside(document) if "$ref" in part}
    for reference in references:
        resolve(reference, document)
    assert references == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def test_operations_have_names_of_their_own_and_all_parameters_of_their_path(document: dict[str, Any]) -> None:
    found = operations(document)
    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    for route, operation in found.items():
        declared = {entry["name"] for entry in operation.get("parameters", []) if entry["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", route)), route
        assert operation["description"], route


def test_every_route_of_the_contract_is_described_and_no_other(document: dict[str, Any]) -> None:
    assert set(operations(document)) == set(ROUTES)


def test_it_says_where_a_token_is_wanted_and_where_a_secret_is(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert {name: scheme["scheme"] for name, scheme in schemes.items()} == {"secret": "bearer", "token": "bearer"}
    wanted: dict[str, list[Any]] = {}
    for route, operation in operations(document).items():
        wanted.setdefault(json.dumps(operation.get("security", [])), []).append(route)
    # Where AUTH_MODE is trusted, buyers need none, and users are made without.
    assert {security: len(routes) for security, routes in wanted.items()} == {
        "[]": 4,
        '[{"secret": []}]': 12,
        '[{}, {"secret": []}]': 1,
        '[{}, {"token": []}]': 5,
    }


def test_every_function_is_in_the_document(document: dict[str, Any]) -> None:
    from dev import routing

    functions = routing.load(ROOT).functions - {"api/docs"}
    described = {
        function for path in document["paths"] for function in functions if f"{path}/".startswith(f"/{function}/")
    }
    assert described == functions


def test_a_route_describes_its_failures_by_status_and_code(document: dict[str, Any]) -> None:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for route, codes in ROUTES.items():
        responses = operations(document)[route]["responses"]
        for code in codes | ALWAYS if route != "GET /api/health" else ():
            described = responses[str(BY_CODE[code].status)]
            assert code in described["description"].split(", "), route
            assert described["content"] == problem, route


@pytest.fixture
def answers(
    client: httpx2.Client,
    database: Database,
    channel: dict[str, str],
    make_users: Callable[[int], list[int]],
    configure: Callable[..., None],
) -> dict[str, list[httpx2.Response]]:
    """Real answers of every route, by route: the good one, replays, and some failures."""
    configure(SWEEP_BUDGET_SECONDS="0")
    user, other = make_users(2)
    drop = client.post("/api/drops", json={"name": "x", "price": 1.5, "sizes": [{"size": "S", "stock": 2}]})
    drop_id = drop.json()["drop"]["id"]
    found = {"POST /api/drops": [drop, client.post("/api/drops", json={})]}
    wanted = {"userId": user, "size": "S"}
    held = [client.post(f"/api/reserve/{drop_id}", json=wanted) for _ in range(2)]
    found["POST /api/reserve/{drop_id}"] = [*held, client.post(f"/api/reserve/{drop_id}", json={"userId": other})]
    hold = held[0].json()["reservation"]["id"]
    address = f"/api/reservations/{hold}"
    found["GET /api/reservations/{reservation_id}"] = [client.get(f"{address}?userId={who}") for who in (user, other)]
    mine = [f"/api/reservations?dropId={drop_id}&userId={user}", "/api/reservations"]
    found["GET /api/reservations"] = [client.get(path) for path in mine]
    buy = [client.post(f"/api/purchase/{hold}", json={"userId": who}) for who in (user, user, other)]
    found["POST /api/purchase/{reservation_id}"] = buy
    second = inventory.reserve(drop_id, other, "S").id
    found["DELETE /api/reservations/{reservation_id}"] = [
        client.request("DELETE", f"/api/reservations/{number}", json={"userId": other})
        for number in (second, second, hold)
    ]
    restock = [client.post(f"/api/drops/{drop_id}/restock", json={"quantity": units, "size": "S"}) for units in (1, -9)]
    found["POST /api/drops/{drop_id}/restock"] = restock
    changes: list[Any] = [{"maxPerUser": 2}, {"state": "LIVE"}]
    found["PATCH /api/drops/{drop_id}"] = [client.patch(f"/api/drops/{drop_id}", json=change) for change in changes]
    found["POST /api/users"] = [client.post("/api/users", json={"username": name}) for name in ("ada", "ada")]
    for path in ("/api/drops", "/api/users", "/api/admin/drops", "/api/realtime", "/api/health", "/api/cron/reap"):
        found[f"GET {path}"] = [client.get(path)]
    for report in ("stats", "history", "holds", "purchases", "purchases.csv", "audit"):
        path = f"GET /api/drops/{{drop_id}}/{report}"
        found[path] = [client.get(f"/api/drops/{number}/{report}") for number in (drop_id, 10**15)]
    found["GET /api/drops/{drop_id}"] = [client.get(f"/api/drops/{number}") for number in (drop_id, 10**15)]
    configure(DATABASE_URL="postgresql://postgres@127.0.0.1:1/nothing")
    found["GET /api/health"].append(client.get("/api/health"))
    found["GET /api/drops"].append(client.get("/api/drops"))
    return found


def test_real_answers_are_what_the_document_says(
    document: dict[str, Any], answers: dict[str, list[httpx2.Response]]
) -> None:
    assert set(answers) == set(ROUTES)
    for route, found in answers.items():
        assert found[0].is_success, (route, found[0].text)
        for answer in found:
            described = operations(document)[route]["responses"][str(answer.status_code)]["content"]
            kind = answer.headers["content-type"].partition(";")[0]
            value = answer.text if kind == "text/csv" else json.loads(answer.text)
            assert mismatches(described[kind]["schema"], value, document) == [], (route, answer.status_code)


def test_a_page_shows_the_document(client: httpx2.Client, database: Database) -> None:
    page = client.get("/api/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert addresses and all(client.get(address).status_code == 200 for address in addresses)
