"""Every error code that the API documents is what some request really gets, with its status; there are no others."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from dev.ports import HOST, random_free
from lib import inventory
from lib.errors import BY_CODE, HoldfastError
from tests.support.api import JSON, problem, unchanged
from tests.support.database import Database
from tests.support.issuer import bearer, refuse, running_issuer
from tests.support.issuer import settings as issuer_settings

# The contract's codes and statuses, written out: lib/errors.py must not drift from what clients were told.
STATUS = {
    "malformed_json": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_owner": 403,
    "drop_not_found": 404,
    "reservation_not_found": 404,
    "user_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "sold_out": 409,
    "drop_not_started": 409,
    "drop_ended": 409,
    "drop_paused": 409,
    "drop_cancelled": 409,
    "limit_reached": 409,
    "reservation_closed": 409,
    "username_taken": 409,
    "stock_committed": 409,
    "reservation_expired": 410,
    "rate_limited": 429,
    "too_large": 413,
    "validation_failed": 422,
    "size_required": 422,
    "unknown_size": 422,
    "idempotency_mismatch": 422,
    "busy": 503,
    "database_unavailable": 503,
    "not_configured": 503,
    "issuer_unavailable": 503,
}
RETRY_AFTER = {"drop_not_started", "rate_limited", "busy", "database_unavailable", "issuer_unavailable"}


@dataclass
class Shop:
    """What a scene needs to bring a failure about."""

    client: httpx2.Client
    database: Database
    make_drop: Callable[..., int]
    make_users: Callable[[int], list[int]]
    configure: Callable[..., None]

    def reserve(self, drop_id: int, size: str | None = None, user: int | None = None) -> httpx2.Response:
        body: dict[str, Any] = {"userId": user or self.make_users(1)[0], "size": size}
        return self.client.post(f"/api/reserve/{drop_id}", json=body)

    def hold(self) -> tuple[int, int]:
        """A live hold and its buyer."""
        (user,) = self.make_users(1)
        return inventory.reserve(self.make_drop(1), user).id, user

    def purchase(self, reservation_id: int, user: int) -> httpx2.Response:
        return self.client.post(f"/api/purchase/{reservation_id}", json={"userId": user})

    def in_an_hour(self) -> Any:
        return self.database.value("select clock()") + timedelta(hours=1)


@pytest.fixture
def shop(
    client: httpx2.Client,
    database: Database,
    make_drop: Callable[..., int],
    make_users: Callable[[int], list[int]],
    configure: Callable[..., None],
) -> Shop:
    return Shop(client, database, make_drop, make_users, configure)


def sold_out(shop: Shop) -> httpx2.Response:
    hold, _ = shop.hold()
    return shop.reserve(hold)


def not_started(shop: Shop) -> httpx2.Response:
    return shop.reserve(shop.make_drop(1, start=shop.in_an_hour()))


def ended(shop: Shop) -> httpx2.Response:
    drop_id = shop.make_drop(1, end=shop.in_an_hour())
    shop.database.shift_clock(3601)
    return shop.reserve(drop_id)


def in_state(state: str) -> Callable[[Shop], httpx2.Response]:
    def scene(shop: Shop) -> httpx2.Response:
        drop_id = shop.make_drop(1)
        inventory.update_drop(drop_id, {"state": state})
        return shop.reserve(drop_id)

    return scene


def limit_reached(shop: Shop) -> httpx2.Response:
    (user,) = shop.make_users(1)
    drop_id = shop.make_drop(2, max_per_user=1)
    inventory.purchase(inventory.reserve(drop_id, user).id, user)
    return shop.reserve(drop_id, user=user)


def rate_limited(shop: Shop) -> httpx2.Response:
    shop.configure(RESERVE_RATE_LIMIT="1")
    hold, user = shop.hold()
    inventory.release(hold, user)
    return shop.reserve(1, user=user)


def expired(shop: Shop) -> httpx2.Response:
    hold, user = shop.hold()
    shop.database.shift_clock(60)
    return shop.purchase(hold, user)


def closed(shop: Shop) -> httpx2.Response:
    hold, user = shop.hold()
    inventory.release(hold, user)
    return shop.purchase(hold, user)


def not_owner(shop: Shop) -> httpx2.Response:
    hold, _ = shop.hold()
    return shop.purchase(hold, shop.make_users(1)[0])


def username_taken(shop: Shop) -> httpx2.Response:
    shop.client.post("/api/users", json={"username": "ada"})
    return shop.client.post("/api/users", json={"username": "ada"})


def mismatch(shop: Shop) -> httpx2.Response:
    key = {"Idempotency-Key": "k"}
    shop.client.post("/api/users", json={"username": "ada"}, headers=key)
    return shop.client.post("/api/users", json={"username": "bob"}, headers=key)


def busy(shop: Shop) -> httpx2.Response:
    drop_id = shop.make_drop(1)
    with shop.database.connect() as other, other.transaction():
        other.execute("select from stock_stripes for update")
        return shop.reserve(drop_id)


def database_unavailable(shop: Shop) -> httpx2.Response:
    shop.configure(DATABASE_URL=f"postgresql://postgres@{HOST}:{random_free()}/nothing")
    return shop.client.get("/api/drops")


def unauthorized(shop: Shop) -> httpx2.Response:
    shop.configure(ADMIN_TOKEN="admin secret")
    return shop.client.post("/api/drops", json={"name": "x", "price": 1, "totalStock": 1})


def forbidden(shop: Shop) -> httpx2.Response:
    with running_issuer() as issuer:
        shop.configure(**issuer_settings(issuer))
        return shop.client.post("/api/reserve/1", json={"userId": 99}, headers=bearer(issuer.token()))


def issuer_unavailable(shop: Shop) -> httpx2.Response:
    with running_issuer() as issuer:
        shop.configure(**issuer_settings(issuer))
        issuer.answer = refuse(500)
        return shop.client.post("/api/reserve/1", json={}, headers=bearer(issuer.token()))


SCENES: dict[str, Callable[[Shop], httpx2.Response]] = {
    "validation_failed": lambda shop: shop.client.post("/api/users", json={}),
    "malformed_json": lambda shop: shop.client.post("/api/users", content=b"{", headers=JSON),
    "too_large": lambda shop: shop.client.post("/api/users", content=b" " * 65_537, headers=JSON),
    "method_not_allowed": lambda shop: shop.client.delete("/api/drops"),
    "not_found": lambda shop: shop.client.get("/api/nothing"),
    "drop_not_found": lambda shop: shop.reserve(1),
    "reservation_not_found": lambda shop: shop.purchase(1, 1),
    "user_not_found": lambda shop: shop.reserve(shop.make_drop(1), user=99),
    "size_required": lambda shop: shop.reserve(shop.make_drop(sizes=[("8", 1)])),
    "unknown_size": lambda shop: shop.reserve(shop.make_drop(sizes=[("8", 1)]), "9"),
    "stock_committed": lambda shop: shop.client.post(f"/api/drops/{shop.make_drop(1)}/restock", json={"quantity": -2}),
    "not_configured": lambda shop: shop.client.get("/api/realtime"),
    "sold_out": sold_out,
    "drop_not_started": not_started,
    "drop_ended": ended,
    "drop_paused": in_state("PAUSED"),
    "drop_cancelled": in_state("CANCELLED"),
    "limit_reached": limit_reached,
    "rate_limited": rate_limited,
    "reservation_expired": expired,
    "reservation_closed": closed,
    "not_owner": not_owner,
    "username_taken": username_taken,
    "idempotency_mismatch": mismatch,
    "busy": busy,
    "database_unavailable": database_unavailable,
    "unauthorized": unauthorized,
    "forbidden": forbidden,
    "issuer_unavailable": issuer_unavailable,
}


def test_the_codes_and_their_statuses_are_those_of_the_contract() -> None:
    assert {code: kind.status for code, kind in BY_CODE.items()} == STATUS


def test_every_code_has_a_scene() -> None:
    assert set(SCENES) == set(STATUS)


@pytest.mark.parametrize("code", SCENES)
def test_a_request_really_gets_the_code(shop: Shop, code: str) -> None:
    answer = SCENES[code](shop)
    problem(answer, STATUS[code], code)
    assert ("retry-after" in answer.headers) == (code in RETRY_AFTER)
    assert code not in RETRY_AFTER or int(answer.headers["retry-after"]) >= 1
    shop.database.assert_conserved()


@pytest.mark.parametrize(
    "code", ["sold_out", "drop_not_started", "user_not_found", "unknown_size", "busy", "drop_paused"]
)
def test_a_refused_reserve_changes_nothing(shop: Shop, code: str) -> None:
    SCENES[code](shop)  # brings the scene about; every drop and user is there now
    users = shop.make_users(1)
    size = {"unknown_size": "9"}.get(code)
    if code == "busy":
        with shop.database.connect() as other, other.transaction(), unchanged(shop.database):
            other.execute("select from stock_stripes for update")
            assert shop.reserve(1, user=users[0]).status_code == 503
        return
    with unchanged(shop.database):
        problem(shop.reserve(1, size, user=99 if code == "user_not_found" else users[0]), STATUS[code], code)


def test_a_failure_of_our_own_is_a_problem_that_gives_nothing_away(shop: Shop) -> None:
    shop.database.connection.execute("alter table users rename column username to name")
    answer = shop.client.get("/api/users", headers={"Origin": "http://shop.example"})
    problem(answer, 500, "internal_error")
    # Without this header a browser shows its page a network error instead.
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_401_says_how_to_prove_oneself(shop: Shop) -> None:
    assert unauthorized(shop).headers["www-authenticate"] == "Bearer"


def test_every_error_says_in_words_what_happened() -> None:
    for kind in (*BY_CODE.values(), HoldfastError):
        assert kind.title and not kind.title.endswith("."), kind
        assert kind.default_detail.endswith("."), kind
