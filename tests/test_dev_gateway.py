"""The gateway: paths, pages and headers as vercel.json says, over functions that tell what they were asked."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from dev import routing
from dev.gateway import ROOT, Gateway
from dev.processes import StackError


def echo(name: str) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"  # so that it counts as an app without a lifespan
        request = Request(scope)
        answer = {"function": name, "path": request.url.path, "query": dict(request.query_params)}
        await JSONResponse(answer)(scope, receive, send)

    return app


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[TestClient]:
    """The real vercel.json over functions that say what they were asked."""
    shutil.copy(ROOT / "vercel.json", tmp_path)
    config = json.loads((ROOT / "vercel.json").read_text())
    names = {rule["destination"].strip("/") for rule in config["rewrites"]}
    names |= {"api/users", "api/realtime", "api/health", "api/cron/reap"}
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "public").mkdir()
    (tmp_path / "public/index.html").write_text("the shop")
    (tmp_path / "public/admin.html").write_text("the desk")
    with TestClient(Gateway(tmp_path, {name: echo(name) for name in names})) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "function", "query"),
    [
        ("/api/drops", "api/drops", {}),
        ("/api/drops?status=all", "api/drops", {"status": "all"}),
        ("/api/drops/7", "api/drops", {"id": "7"}),
        ("/api/drops/7/restock", "api/drops", {"id": "7"}),
        ("/api/admin/drops", "api/admin", {}),
        ("/api/drops/7/stats", "api/admin", {"id": "7"}),
        ("/api/drops/7/history", "api/admin", {"id": "7"}),
        ("/api/drops/7/holds", "api/admin", {"id": "7"}),
        ("/api/drops/7/purchases", "api/admin", {"id": "7"}),
        ("/api/drops/7/purchases.csv", "api/admin", {"id": "7"}),
        ("/api/reserve/3", "api/reserve", {"dropId": "3"}),
        ("/api/purchase/4", "api/purchase", {"reservationId": "4"}),
        ("/api/reservations/5", "api/reservations", {"id": "5"}),
        ("/api/users", "api/users", {}),
        ("/api/realtime", "api/realtime", {}),
        ("/api/health", "api/health", {}),
        ("/api/openapi.json", "api/docs", {}),
        ("/api/cron/reap", "api/cron/reap", {}),
        ("/api", "api/docs", {}),
        ("/api/no/such/route", "api/docs", {"path": "no/such/route"}),
        ("/api/reserve/3/x", "api/docs", {"path": "reserve/3/x"}),
        # The client's own query wins, as on Vercel: so functions must take ids from the path, which stays as it was.
        ("/api/reserve/3?dropId=9", "api/reserve", {"dropId": "9"}),
    ],
)
def test_each_path_reaches_its_function(gateway: TestClient, path: str, function: str, query: dict[str, str]) -> None:
    answer = gateway.post(path).json()
    assert answer == {"function": function, "path": path.partition("?")[0], "query": query}


def test_pages_are_served_as_on_vercel(gateway: TestClient) -> None:
    page = gateway.get("/")
    assert (page.status_code, page.text) == (200, "the shop")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert gateway.get("/", headers={"If-None-Match": page.headers["etag"]}).status_code == 304
    assert gateway.get("/admin").text == "the desk"
    assert gateway.get("/admin.html", follow_redirects=False).headers["location"] == "/admin"
    assert gateway.post("/api/users.py", follow_redirects=False).headers["location"] == "/api/users"
    assert gateway.get("/nothing").status_code == 404
    assert gateway.get("/../vercel.json").status_code == 404
    # What functions answer has a policy of its own (lib/http.py), also where vercel.json is not in force.
    assert "content-security-policy" not in gateway.get("/api/drops").headers


def test_every_rewrite_and_cron_of_vercel_json_has_its_file() -> None:
    routing.load(ROOT)
    config = json.loads((ROOT / "vercel.json").read_text())
    assert config["framework"] is None
    assert config["crons"] == [{"path": "/api/cron/reap", "schedule": "* * * * *"}]
    assert config["functions"]["api/cron/reap.py"]["maxDuration"] == 90


def test_a_rewrite_to_nowhere_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "vercel.json").write_text('{"rewrites": [{"source": "/a", "destination": "/api/gone"}]}')
    with pytest.raises(StackError, match=re.escape("sends requests to /api/gone, but there is no api/gone.py")):
        routing.load(tmp_path)


@pytest.mark.parametrize("source", ["/a/:id?", "/a/:id+", "/a/:id(\\d+)", "/a/("])
def test_a_pattern_that_only_vercel_reads_is_refused(source: str) -> None:
    with pytest.raises(StackError, match=re.escape("vercel.json")):
        routing.compile_source(source)
