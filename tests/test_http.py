"""What all routes have in common: request ids, timing, caching, CORS, methods, and failures that give nothing away."""

import asyncio
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from lib.http import make_app
from tests.support.api import JSON, assert_gives_nothing_away, problem, unchanged
from tests.support.database import Database

# Every route of the contract: its address and the methods it takes.
ROUTES = {
    "/api/drops": ["GET", "POST"],
    "/api/drops/1": ["GET", "PATCH"],
    "/api/drops/1/restock": ["POST"],
    "/api/reserve/1": ["POST"],
    "/api/purchase/1": ["POST"],
    "/api/reservations/1": ["GET", "DELETE"],
    "/api/users": ["POST", "GET"],
    "/api/admin/drops": ["GET"],
    "/api/drops/1/stats": ["GET"],
    "/api/drops/1/history": ["GET"],
    "/api/drops/1/holds": ["GET"],
    "/api/drops/1/purchases": ["GET"],
    "/api/drops/1/purchases.csv": ["GET"],
    "/api/realtime": ["GET"],
    "/api/health": ["GET"],
    "/api/cron/reap": ["GET"],
    "/api/docs": ["GET"],
    "/api/openapi.json": ["GET"],
}
CALLS = [(method, path) for path, methods in ROUTES.items() for method in methods]
ORIGIN = {"Origin": "https://shop.example"}


@pytest.fixture(autouse=True)
def quick_sweep(configure: Callable[..., None]) -> None:
    """A sweep looks once, where it would otherwise look for a minute."""
    configure(SWEEP_BUDGET_SECONDS="0")


def test_every_answer_has_an_id_a_timing_and_a_word_on_caching(client: httpx2.Client, database: Database) -> None:
    for method, path in [*CALLS, ("GET", "/api/nothing"), ("PUT", "/api/drops")]:
        answer = client.request(method, path)
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"]), path
        assert re.fullmatch(r"db;dur=\d+\.\d, total;dur=\d+\.\d", answer.headers["server-timing"]), path
        assert answer.headers["cache-control"], path


def test_no_answer_can_be_framed_sniffed_or_run(client: httpx2.Client, database: Database) -> None:
    for method, path in [*CALLS, ("GET", "/api/nothing"), ("PUT", "/api/drops"), ("OPTIONS", "/api/drops")]:
        headers = client.request(method, path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "no-referrer", path
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy and "script-src" not in policy, path
        # Of all that functions answer, the page of the documentation alone loads anything, from its own host.
        assert policy.startswith("default-src 'self'" if path == "/api/docs" else "default-src 'none'"), path
        assert "strict-transport-security" not in headers  # it would outlive development on this host name


def test_browsers_stay_with_tls_in_production(
    client: httpx2.Client, database: Database, configure: Callable[..., None]
) -> None:
    configure(HOLDFAST_ENV="production")
    assert client.get("/api/drops").headers["strict-transport-security"] == "max-age=63072000"


def test_no_two_answers_share_an_id(client: httpx2.Client, database: Database) -> None:
    assert len({client.get("/api/drops").headers["x-request-id"] for _ in range(5)}) == 5


def test_the_callers_request_id_is_kept(client: httpx2.Client, database: Database) -> None:
    for sent in ("abc-123", "Root=1-67891233-abcdef", "x" * 128):
        assert client.get("/api/drops", headers={"X-Request-Id": sent}).headers["x-request-id"] == sent


def test_a_request_id_that_could_do_harm_in_a_log_is_replaced(client: httpx2.Client, database: Database) -> None:
    for sent in ("x" * 129, "a b", '{"a":1}', "<script>", "caf\xe9".encode("latin-1"), ""):
        answer = client.get("/api/drops", headers={"X-Request-Id": sent})
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


def test_the_time_in_the_database_is_told(client: httpx2.Client, database: Database) -> None:
    timing = client.get("/api/drops").headers["server-timing"]
    found = re.fullmatch(r"db;dur=(\S+), total;dur=(\S+)", timing)
    assert found is not None and 0 < float(found[1]) <= float(found[2])


def test_only_public_reads_may_be_cached(client: httpx2.Client, database: Database) -> None:
    public = {path for method, path in CALLS if "public" in client.request(method, path).headers["cache-control"]}
    # The drop and the channel do not exist here, and nobody must keep that.
    assert public == {"/api/drops", "/api/openapi.json"}


def test_a_browser_of_any_origin_may_send_every_method_in_development(
    client: httpx2.Client, database: Database
) -> None:
    for path in ROUTES:
        for method in ROUTES[path]:
            asked = {
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
            }
            answer = client.options(path, headers={**ORIGIN, **asked})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
            assert method in answer.headers["access-control-allow-methods"]
            assert "Idempotency-Key" in answer.headers["access-control-allow-headers"]


def test_options_lists_the_methods_of_the_route(client: httpx2.Client, database: Database) -> None:
    for path in ROUTES:
        answer = client.options(path)
        methods = {*ROUTES[path], "OPTIONS", *(["HEAD"] if "GET" in ROUTES[path] else [])}
        assert (answer.status_code, answer.headers["allow"]) == (204, ", ".join(sorted(methods)))


def test_a_browser_may_read_the_headers_it_needs(client: httpx2.Client, database: Database) -> None:
    exposed = client.get("/api/drops", headers=ORIGIN).headers["access-control-expose-headers"].split(", ")
    assert set(exposed) >= {"X-Request-Id", "Server-Timing", "ETag", "Link", "Retry-After", "Idempotency-Replayed"}
    assert set(exposed) >= {"Date", "Age", "X-Vercel-Cache"}  # what the client tells the time and a kept reply by


def test_a_browser_may_read_a_failure(client: httpx2.Client, database: Database) -> None:
    for method, path in [
        ("GET", "/api/nothing"),
        ("PUT", "/api/drops"),
        ("POST", "/api/users"),
        ("GET", "/api/drops/1"),
    ]:
        answer = client.request(method, path, headers=ORIGIN)
        assert (answer.status_code >= 400, answer.headers["access-control-allow-origin"]) == (True, "*")


async def from_origin(origin: str, **preflight: str) -> httpx2.Response:
    """What an app made now answers to a page of that origin."""
    app = make_app()
    app.get("/api/thing")(lambda: {"ok": True})
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://api.example") as http:
        if preflight:
            return await http.options("/api/thing", headers={"Origin": origin, **preflight})
        return await http.get("/api/thing", headers={"Origin": origin})


@pytest.mark.parametrize(
    ("environment", "origin", "allowed"),
    [
        ({"HOLDFAST_ENV": "development"}, "https://any.example", "*"),
        ({"HOLDFAST_ENV": "production"}, "https://any.example", None),
        ({"VERCEL_ENV": "production", "HOLDFAST_ENV": None}, "https://any.example", None),
        ({"CORS_ORIGINS": "https://a.example, https://b.example"}, "https://b.example", "https://b.example"),
        ({"CORS_ORIGINS": "https://a.example"}, "https://b.example", None),
        ({"CORS_ORIGINS": "https://a.example"}, "http://a.example", None),
        *(
            ({"CORS_ORIGINS": "https://a.example"}, origin, None)
            for origin in (
                *("https://a.example.evil.example", "https://evil.example/https://a.example", "https://xa.example"),
                *("https://sub.a.example", "https://a.exampleevil", "https://a.example:8443", "https://a.example/"),
                *("https://aXexample", "HTTPS://A.EXAMPLE", "https://a.example,https://evil.example", "null", "*"),
            )
        ),
        ({"CORS_ORIGINS": "*", "HOLDFAST_ENV": "production"}, "https://any.example", "*"),
    ],
    ids=str,
)
def test_pages_of_listed_origins_alone_may_read_answers(
    configure: Callable[..., None], environment: dict[str, str | None], origin: str, allowed: str | None
) -> None:
    configure(**environment)
    answer = asyncio.run(from_origin(origin))
    assert answer.headers.get("access-control-allow-origin") == allowed
    assert "access-control-allow-credentials" not in answer.headers
    assert allowed == "*" or "Origin" in answer.headers["vary"]
    asked = asyncio.run(from_origin(origin, **{"Access-Control-Request-Method": "POST"}))
    assert (asked.status_code == 200) == (allowed is not None)


def test_head_is_get_without_a_body(client: httpx2.Client, database: Database, make_drop: Callable[..., int]) -> None:
    make_drop(1)
    for path in (path for path, methods in ROUTES.items() if "GET" in methods):
        got, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        for name in ("content-type", "etag", "cache-control", "link"):
            assert head.headers.get(name) == got.headers.get(name)


def test_another_method_is_405_with_those_allowed(client: httpx2.Client, database: Database) -> None:
    others = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW")
    with unchanged(database):
        for path, method in itertools.product(ROUTES, others):
            if method not in ROUTES[path]:
                answer = client.request(method, path, content=b"{}", headers=JSON)
                problem(answer, 405, "method_not_allowed")
                assert set(ROUTES[path]) <= set(answer.headers["allow"].split(", "))


NOWHERE = [
    *("nothing", "drops/1/nothing", "drops/1/restock/1", "reserve", "reserve/1/2", "cron", "cron/nothing", "openapi"),
    *("DROPS", "drops;x", "%00", "%ff%fe", "%2e%2e%2fetc%2fpasswd", "__init__", "<script>alert(1)</script>"),
]


def test_an_address_that_does_not_exist_is_a_404_problem(client: httpx2.Client, database: Database) -> None:
    for path in [*NOWHERE, "x" * 4000]:
        problem(client.get(f"/api/{path}"), 404, "not_found")
        problem(client.post(f"/api/{path}", json={"userId": 1}), 404, "not_found")


# What scanners and broken clients send, whichever route it goes to.
HOSTILE: list[dict[str, Any]] = [
    {"params": {"id": "' or 1=1 --", "userId": "1;drop table users"}},
    {"params": {"userId": ["1", "2"], "limit": "NaN"}},
    {"content": b"\x00\x01\x02", "headers": {"Content-Type": "application/octet-stream"}},
    {"content": b"%PDF", "headers": {**JSON, "Content-Encoding": "gzip"}},
    {"content": json.dumps({"userId": {"$ne": None}, "name": ["%s"], "username": {"toString": 1}}), "headers": JSON},
    {"headers": {"Authorization": "Bearer \xff", "If-None-Match": '\x7f,,"', "Accept": "text/html", "Cookie": "a=b"}},
    {"headers": {"Idempotency-Key": "'; select pg_sleep(10); --", "X-Forwarded-For": "x" * 4000}},
    {
        "headers": {
            "Accept-Encoding": "nonsense",
            "Range": "bytes=9-1",
            "Expect": "x",
            "X-HTTP-Method-Override": "DELETE",
        }
    },
]


def test_bad_input_never_gives_a_500_or_anything_away(client: httpx2.Client, database: Database) -> None:
    for (method, path), hostile in itertools.product(CALLS, HOSTILE):
        headers = {name: value.encode("latin-1") for name, value in hostile.get("headers", {}).items()}
        answer = client.request(method, path, **{**hostile, "headers": headers})
        assert answer.status_code < 500 or path == "/api/realtime", (hostile, answer.text)
        if answer.status_code >= 400:
            problem(answer, answer.status_code, answer.json()["code"])
        elif path not in ("/api/docs", "/api/openapi.json"):
            assert_gives_nothing_away(answer.text)
