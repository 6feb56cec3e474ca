"""What every way of running Holdfast has to do, over HTTP and the channel alone: each check is a function of a Target.

Three targets run the same CHECKS: the gateway of `make dev`, the built Vercel functions, the built Lambda functions.
A check makes its own drops and users, so the checks run in any order, on a database that others use too.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.support.api import problem
from tests.support.leaks import leaks, secrets_of
from tests.support.subscriber import Subscriber

ADMIN_TOKEN = "e2e-admin-token"
CRON_SECRET = "e2e-cron-secret"
# A target runs in production mode, with these; its sweep is short, so that the cron door answers soon.
ENVIRONMENT = {
    "HOLDFAST_ENV": "production",
    "AUTH_MODE": "trusted",
    "ADMIN_TOKEN": ADMIN_TOKEN,
    "CRON_SECRET": CRON_SECRET,
    "CORS_ORIGINS": "https://shop.example",
    "SWEEP_BUDGET_SECONDS": "1",
    "LOG_LEVEL": "DEBUG",
}
# Each of them is asked for in assert_nothing_leaks; the clock's own door is Vercel's alone.
ROUTES = [
    "/api/drops",
    "/api/drops/{drop_id}",
    "/api/reserve/{drop_id}",
    "/api/purchase/{reservation_id}",
    "/api/reservations/{reservation_id}",
    "/api/users",
    "/api/realtime",
    "/api/health",
    "/api/docs",
    "/api/openapi.json",
    "/api/admin/drops",
]
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
CRON = {"Authorization": f"Bearer {CRON_SECRET}"}


@dataclass(frozen=True)
class Target:
    """`client` has the base URL; `subscribe("drop-1", ...)` listens to the channel that the target publishes to."""

    client: httpx2.Client
    subscribe: Callable[..., Subscriber]

    def user(self) -> int:
        answer = self.client.post("/api/users", json={"username": f"user-{uuid.uuid4().hex}"})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["user"]["id"])

    def drop(self, **fields: Any) -> dict[str, Any]:
        body = {"name": "End to end", "price": 19.99, "totalStock": 3, **fields}
        body = {name: value for name, value in body.items() if value is not None}
        answer = self.client.post("/api/drops", json=body, headers=ADMIN)
        assert answer.status_code == 201, answer.text
        drop: dict[str, Any] = answer.json()["drop"]
        return drop

    def available(self, drop_id: int) -> int:
        return int(self.client.get(f"/api/drops/{drop_id}").json()["availableStock"])

    def reserve(self, drop_id: int, user: int, **more: Any) -> httpx2.Response:
        return self.client.post(f"/api/reserve/{drop_id}", json={"userId": user, **more})

    def hold(self, drop_id: int, user: int, **more: Any) -> int:
        answer = self.reserve(drop_id, user, **more)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["reservation"]["id"])


def check_the_way_of_a_unit(target: Target) -> None:
    """Create, list, reserve, purchase, and each repeated."""
    drop, user = target.drop(), target.user()
    listed = target.client.get("/api/drops", params={"status": "live", "limit": 100}).json()
    assert drop["id"] in [entry["id"] for entry in listed]
    first, again = target.reserve(drop["id"], user), target.reserve(drop["id"], user)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json()["reservation"] == again.json()["reservation"]
    assert target.available(drop["id"]) == 2
    path = f"/api/purchase/{first.json()['reservation']['id']}"
    bought = [target.client.post(path, json={"userId": user}) for _ in range(2)]
    assert [answer.status_code for answer in bought] == [201, 200]
    assert bought[0].json() == bought[1].json()
    assert bought[0].json()["purchase"]["price"] == 19.99
    seen = target.client.get(f"/api/drops/{drop['id']}").json()
    assert (seen["availableStock"], seen["soldCount"]) == (2, 1)
    assert seen["recentPurchases"][0]["userId"] == user


def check_looking_at_a_hold_and_releasing_it(target: Target) -> None:
    drop, user, other = target.drop(), target.user(), target.user()
    path = f"/api/reservations/{target.hold(drop['id'], user)}"
    looked = target.client.get(path, params={"userId": user})
    assert looked.json()["reservation"]["status"] == "ACTIVE" and 0 < looked.json()["secondsLeft"] <= 60
    problem(target.client.get(path, params={"userId": other}), 403, "not_owner")
    released = [target.client.request("DELETE", path, json={"userId": user}) for _ in range(2)]
    assert [answer.status_code for answer in released] == [200, 200]
    assert released[0].json()["reservation"]["status"] == "RELEASED"
    assert released[1].headers["idempotency-replayed"] == "true"
    assert target.available(drop["id"]) == 3


def check_what_the_shop_can_do(target: Target) -> None:
    drop = target.drop(totalStock=None, sizes=[{"size": "42", "stock": 1}, {"size": "43", "stock": 2}])
    path, user = f"/api/drops/{drop['id']}", target.user()
    problem(target.client.patch(path, json={"state": "PAUSED"}), 401, "unauthorized")
    paused = target.client.patch(path, json={"state": "PAUSED"}, headers=ADMIN)
    assert paused.json()["drop"]["status"] == "PAUSED", paused.text
    problem(target.reserve(drop["id"], user, size="42"), 409, "drop_paused")
    assert target.client.patch(path, json={"state": "OPEN"}, headers=ADMIN).status_code == 200
    problem(target.reserve(drop["id"], user), 422, "size_required")
    target.hold(drop["id"], user, size="42")
    problem(target.reserve(drop["id"], target.user(), size="42"), 409, "sold_out")
    more = {"json": {"quantity": 2, "size": "42"}, "headers": {**ADMIN, "Idempotency-Key": uuid.uuid4().hex}}
    for _ in range(2):
        restocked = target.client.post(f"{path}/restock", **more)
        assert (restocked.status_code, restocked.json()["drop"]["totalStock"]) == (200, 5), restocked.text


def check_never_oversold(target: Target) -> None:
    """Ten buyers at once for three units."""
    drop = target.drop()
    users = [target.user() for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda user: target.reserve(drop["id"], user), users))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 7
    assert target.available(drop["id"]) == 0


def check_an_expired_hold(target: Target) -> None:
    """A late purchase is refused, with no clock's help; the cron door gives the unit back."""
    drop, user = target.drop(holdSeconds=1), target.user()
    hold = target.hold(drop["id"], user)
    time.sleep(1.2)
    problem(target.client.post(f"/api/purchase/{hold}", json={"userId": user}), 410, "reservation_expired")
    swept = target.client.get("/api/cron/reap", headers=CRON)
    assert swept.status_code == 200, swept.text
    assert set(swept.json()) == {"expired", "published", "sweeps", "nextDueAt"}
    assert target.available(drop["id"]) == 3


def check_events_arrive(target: Target) -> None:
    drop, user = target.drop(), target.user()
    listener = target.subscribe(f"drop-{drop['id']}", f"cache-drop-{drop['id']}")
    hold = target.hold(drop["id"], user)
    listener.wait_for(lambda event: event["event"] == "stockUpdate" and event["data"]["availableStock"] == 2)
    target.client.post(f"/api/purchase/{hold}", json={"userId": user})
    sold = listener.wait_for(lambda event: event["event"] == "newPurchase")["data"]
    assert (sold["dropId"], sold["userId"]) == (drop["id"], user)
    target.client.patch(f"/api/drops/{drop['id']}", json={"state": "CANCELLED"}, headers=ADMIN)
    listener.wait_for(lambda event: event["event"] == "dropChanged" and event["data"]["status"] == "CANCELLED")


def check_what_the_shop_reads(target: Target) -> None:
    """Search, figures, history, holders, buyers, and buyers as a file; each for the admin alone."""
    name = f"Report {uuid.uuid4().hex}"
    drop, buyer, holder = target.drop(name=name), target.user(), target.user()
    bought = target.client.post(f"/api/purchase/{target.hold(drop['id'], buyer)}", json={"userId": buyer}).json()
    held = target.hold(drop["id"], holder)
    paths = [
        f"/api/drops/{drop['id']}/{report}" for report in ("stats", "history", "holds", "purchases", "purchases.csv")
    ]
    for path in (*paths, "/api/admin/drops"):
        problem(target.client.get(path, params={"limit": 10}), 401, "unauthorized")
    stats, history, holds, purchases, file = (
        target.client.get(path, params={"limit": 10, "id": 1, "drop_id": 1}, headers=ADMIN) for path in paths
    )
    assert stats.json()["holds"] == {"active": 1, "overdue": 0, "purchased": 1, "expired": 0, "released": 0}, stats.text
    assert (stats.json()["revenue"], stats.json()["availableStock"]) == (19.99, 1)
    assert history.json()["points"][0]["availableStock"] == 3
    assert [hold["id"] for hold in holds.json()["holds"]] == [held]
    assert [sale["id"] for sale in purchases.json()["purchases"]] == [bought["purchase"]["id"]]
    lines = file.content.decode().split("\r\n")
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert (
        lines[0].startswith("id,timestamp,")
        and lines[1].startswith(f"{bought['purchase']['id']},")
        and lines[2:] == [""]
    )
    found = target.client.get("/api/admin/drops", params={"q": name.upper(), "status": "LIVE"}, headers=ADMIN)
    assert [entry["id"] for entry in found.json()["drops"]] == [drop["id"]]


def check_ids_come_from_the_path(target: Target) -> None:
    """Rewrites put the path's parameters into the query, where the client's own win: nobody may look there."""
    drop, other, user = target.drop(name="Wanted"), target.drop(name="Other"), target.user()
    wrong = {name: str(other["id"]) for name in ("drop_id", "dropId", "id", "path")}
    seen = target.client.get(f"/api/drops/{drop['id']}", params=wrong).json()
    assert (seen["id"], seen["name"]) == (drop["id"], "Wanted")
    held = target.client.post(f"/api/reserve/{drop['id']}", params=wrong, json={"userId": user}).json()
    assert held["reservation"]["dropId"] == drop["id"]
    theirs = target.hold(other["id"], target.user())
    wrong = {name: str(theirs) for name in ("reservation_id", "reservationId", "id")}
    path = f"/api/purchase/{held['reservation']['id']}"
    bought = target.client.post(path, params=wrong, json={"userId": user}).json()
    assert bought["purchase"]["reservationId"] == held["reservation"]["id"]
    assert target.available(other["id"]) == 2


def check_unknown_paths_and_wrong_methods(target: Target) -> None:
    client = target.client
    for path in ("/api/nothing", "/api/reserve/1/more", "/api/drops/1/2/3", "/api/_private", "/api/lib/db"):
        problem(client.get(path), 404, "not_found")
    for method, path, allow in (
        ("GET", "/api/reserve/1", "OPTIONS, POST"),
        ("PUT", "/api/drops/1", "GET, HEAD, OPTIONS, PATCH"),
        ("DELETE", "/api/drops", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/api/health", "GET, HEAD, OPTIONS"),
    ):
        answer = client.request(method, path)
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == allow
    assert client.head("/api/drops").status_code == 200 and client.head("/api/drops").content == b""
    problem(client.get("/api/drops/abc"), 422, "validation_failed")
    problem(
        client.post("/api/reserve/1", content=b"{", headers={"Content-Type": "application/json"}), 400, "malformed_json"
    )
    problem(client.post("/api/users", content=b" " * 65_537), 413, "too_large")


def check_doors_are_shut(target: Target) -> None:
    client, drop = target.client, {"name": "x", "price": 1, "totalStock": 1}
    wrong = {"Authorization": "Bearer wrong"}
    for headers in ({}, wrong, CRON):
        problem(client.post("/api/drops", json=drop, headers=headers), 401, "unauthorized")
        problem(client.get("/api/users", headers=headers), 401, "unauthorized")
    for headers in ({}, wrong, ADMIN):
        problem(client.get("/api/cron/reap", headers=headers), 401, "unauthorized")
    assert client.get("/api/users", headers=ADMIN).status_code == 200


def check_what_browsers_need(target: Target) -> None:
    client = target.client
    health = client.get("/api/health")
    assert (health.status_code, health.json()["database"]["ok"]) == (200, True), health.text
    assert client.get("/api/realtime").json()["channels"]["stock"] == "cache-drop-{id}"
    document = client.get("/api/openapi.json").json()
    assert {"/api/drops", "/api/reserve/{drop_id}", "/api/cron/reap"} <= set(document["paths"])
    assert "swagger" in client.get("/api/docs").text
    tag = client.get("/api/drops").headers["etag"]
    assert client.get("/api/drops", headers={"If-None-Match": tag}).status_code in (200, 304)
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/api/reserve/1", headers=asked).headers["access-control-allow-origin"] == asked["Origin"]
    stranger = client.get("/api/drops", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in stranger.headers
    for answer in (health, stranger):
        assert answer.headers["x-request-id"] and "db;dur=" in answer.headers["server-timing"]


def assert_nothing_leaks(target: Target, environment: Mapping[str, str], log: Callable[[], str]) -> None:
    """The log of a whole run, which goes on here in case nothing ran before, has a line of each route and no secret."""
    for check in (check_the_way_of_a_unit, check_looking_at_a_hold_and_releasing_it, check_events_arrive):
        check(target)
    for headers in (ADMIN, CRON):
        target.client.get("/api/users", headers=headers)
        target.client.get("/api/admin/drops", headers=headers)
    check_what_browsers_need(target)
    target.client.get("/api/cron/reap", headers=CRON)
    text = log()
    for route in ROUTES:
        assert f'"route": "{route}"' in text, (route, text[-2000:])
    assert leaks(text, secrets_of(environment)) == []


CHECKS: list[Callable[[Target], None]] = [
    check for name, check in list(globals().items()) if name.startswith("check_") and callable(check)
]
