"""The routes of buyers: reserve, purchase, look at a hold and give it back, each repeated and refused."""

from collections.abc import Callable
from datetime import datetime, timedelta

import httpx2
import pytest

from lib import inventory
from tests.support.api import problem, shape, unchanged
from tests.support.database import Database

MakeDrop = Callable[..., int]
MakeUsers = Callable[[int], list[int]]

RESERVATION_SHAPE = {
    "id": int,
    "userId": int,
    "dropId": int,
    "size": str,
    "status": str,
    "expires_at": "time",
    "createdAt": "time",
}
PURCHASE_SHAPE = {
    "id": int,
    "reservationId": int,
    "userId": int,
    "dropId": int,
    "size": str,
    "price": float,
    "currency": str,
    "timestamp": "time",
}


def reserve(client: httpx2.Client, drop_id: int, user_id: int, **more: object) -> httpx2.Response:
    return client.post(f"/api/reserve/{drop_id}", json={"userId": user_id, **more})


def purchase(client: httpx2.Client, reservation_id: int, user_id: int) -> httpx2.Response:
    return client.post(f"/api/purchase/{reservation_id}", json={"userId": user_id})


def release(client: httpx2.Client, reservation_id: int, user_id: int) -> httpx2.Response:
    return client.request("DELETE", f"/api/reservations/{reservation_id}", json={"userId": user_id})


@pytest.fixture
def user(make_users: MakeUsers) -> int:
    return make_users(1)[0]


@pytest.fixture
def held(make_drop: MakeDrop, user: int) -> int:
    """A live hold of `user` on the only unit of drop 1."""
    return inventory.reserve(make_drop(1), user).id


def test_a_reserve_answers_201_with_the_hold(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, user: int
) -> None:
    answer = reserve(client, make_drop(2), user)
    assert (answer.status_code, "idempotency-replayed" in answer.headers) == (201, False)
    body = answer.json()
    assert shape(body) == {"message": str, "reservation": RESERVATION_SHAPE, "expiresAt": "time", "serverTime": "time"}
    hold = body["reservation"]
    assert (hold["userId"], hold["dropId"], hold["size"], hold["status"]) == (user, 1, "", "ACTIVE")
    assert database.rows("select id, status from reservations") == [(hold["id"], "ACTIVE")]
    assert database.stock(1) == (1, 1, 0)


@pytest.mark.parametrize("hold_seconds", [1, 60, 86_400])
def test_a_hold_lasts_the_drops_hold_seconds(
    client: httpx2.Client, make_drop: MakeDrop, user: int, hold_seconds: int
) -> None:
    body = reserve(client, make_drop(1, hold_seconds=hold_seconds), user).json()
    deadline, now = (datetime.fromisoformat(body[name]) for name in ("expiresAt", "serverTime"))
    assert deadline - now == timedelta(seconds=hold_seconds)
    assert body["reservation"]["expires_at"] == body["expiresAt"]


def test_a_repeated_reserve_gives_the_same_hold_and_does_not_extend_it(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, user: int
) -> None:
    drop_id = make_drop(2)
    first = reserve(client, drop_id, user).json()
    database.shift_clock(30)
    with unchanged(database):
        again = reserve(client, drop_id, user)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.json()["reservation"] == first["reservation"]
    assert again.json()["expiresAt"] == first["expiresAt"]


def test_after_the_deadline_the_same_buyer_gets_a_new_hold(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, user: int
) -> None:
    drop_id = make_drop(1)
    first = reserve(client, drop_id, user).json()["reservation"]["id"]
    database.shift_clock(60)
    again = reserve(client, drop_id, user)
    assert (again.status_code, again.json()["reservation"]["id"] != first) == (201, True)
    assert database.statuses(drop_id) == {"ACTIVE": 1, "EXPIRED": 1}
    assert database.stock(drop_id) == (0, 1, 0)


def test_a_size_is_held_by_its_label(client: httpx2.Client, database: Database, make_drop: MakeDrop, user: int) -> None:
    drop_id = make_drop(sizes=[("8", 1), ("9", 1)])
    assert reserve(client, drop_id, user, size="9").json()["reservation"]["size"] == "9"
    assert (database.stock(drop_id, "8"), database.stock(drop_id, "9")) == ((1, 0, 0), (0, 1, 0))


def test_a_sold_out_size_does_not_sell_another(
    client: httpx2.Client, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    drop_id = make_drop(sizes=[("8", 1), ("9", 1)])
    first, second = make_users(2)
    reserve(client, drop_id, first, size="8")
    problem(reserve(client, drop_id, second, size="8"), 409, "sold_out")


@pytest.mark.parametrize("seconds", [3600, 86_400.5])
def test_who_comes_too_early_hears_when_to_come_back(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, user: int, seconds: float
) -> None:
    drop_id = make_drop(1, start=database.value("select clock()") + timedelta(seconds=seconds))
    with unchanged(database):
        answer = reserve(client, drop_id, user)
    problem(answer, 409, "drop_not_started")
    wait = int(answer.headers["retry-after"])
    assert seconds - 60 < wait < seconds + 1
    database.shift_clock(wait)
    assert reserve(client, drop_id, user).status_code == 201


def test_a_purchase_answers_201_with_the_purchase_and_its_drop(
    client: httpx2.Client, database: Database, held: int, user: int
) -> None:
    answer = purchase(client, held, user)
    assert (answer.status_code, "idempotency-replayed" in answer.headers) == (201, False)
    body = answer.json()
    assert set(body) == {"message", "purchase", "drop"}
    assert shape(body["purchase"]) == PURCHASE_SHAPE
    bought = body["purchase"]
    assert (bought["reservationId"], bought["userId"], bought["dropId"], bought["price"]) == (held, user, 1, 200)
    assert (body["drop"]["id"], body["drop"]["totalStock"], body["drop"]["availableStock"]) == (1, 1, 0)
    assert database.stock(1) == (0, 0, 1)


def test_a_repeated_purchase_answers_200_with_the_same_body(
    client: httpx2.Client, database: Database, held: int, user: int
) -> None:
    first = purchase(client, held, user)
    database.shift_clock(3600)
    with unchanged(database):
        again = purchase(client, held, user)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.content == first.content
    assert database.value("select count(*) from purchases") == 1


def test_a_receipt_does_not_change_when_the_shop_edits_the_drop(
    client: httpx2.Client, database: Database, held: int, user: int
) -> None:
    first = purchase(client, held, user)
    client.patch("/api/drops/1", json={"price": 999, "name": "Renamed"})
    client.post("/api/drops/1/restock", json={"quantity": 5})
    assert purchase(client, held, user).content == first.content
    assert database.rows("select price::text from purchases") == [("200.00",)]


def test_a_hold_is_good_until_its_deadline_and_not_longer(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, user: int
) -> None:
    # An hour, so that what the test itself takes does not matter.
    early, late = (inventory.reserve(make_drop(1, hold_seconds=3600), user) for _ in range(2))
    database.shift_clock(3540)
    assert purchase(client, early.id, user).status_code == 201
    database.shift_clock(60)
    problem(purchase(client, late.id, user), 410, "reservation_expired")
    assert database.rows("select reservation_id from purchases") == [(early.id,)]


@pytest.mark.parametrize("action", [purchase, release])
def test_nobody_acts_on_a_hold_of_another(
    client: httpx2.Client,
    database: Database,
    held: int,
    make_users: MakeUsers,
    action: Callable[[httpx2.Client, int, int], httpx2.Response],
) -> None:
    (other,) = make_users(1)
    with unchanged(database):
        problem(action(client, held, other), 403, "not_owner")
        problem(client.get(f"/api/reservations/{held}?userId={other}"), 403, "not_owner")


def test_a_hold_tells_its_owner_how_long_it_is_good(
    client: httpx2.Client, database: Database, held: int, user: int
) -> None:
    database.shift_clock(20)
    answer = client.get(f"/api/reservations/{held}?userId={user}")
    assert (answer.status_code, shape(answer.json())) == (200, {"reservation": RESERVATION_SHAPE, "secondsLeft": float})
    assert 20 < answer.json()["secondsLeft"] <= 40


def test_an_overdue_hold_reads_expired_before_anyone_swept(
    client: httpx2.Client, database: Database, held: int, user: int
) -> None:
    database.shift_clock(61)
    body = client.get(f"/api/reservations/{held}?userId={user}").json()
    assert (body["reservation"]["status"], body["secondsLeft"]) == ("EXPIRED", 0)


def test_a_release_returns_the_unit(client: httpx2.Client, database: Database, held: int, user: int) -> None:
    answer = release(client, held, user)
    assert (answer.status_code, "idempotency-replayed" in answer.headers) == (200, False)
    assert shape(answer.json()) == {"reservation": RESERVATION_SHAPE}
    assert answer.json()["reservation"]["status"] == "RELEASED"
    assert database.stock(1) == (1, 0, 0)


def test_a_repeated_release_gives_the_same_answer_and_no_second_unit(
    client: httpx2.Client, database: Database, held: int, user: int
) -> None:
    first = release(client, held, user)
    with unchanged(database):
        again = release(client, held, user)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.content == first.content


def test_a_client_that_sends_no_body_with_delete_says_who_it_is_in_the_query(
    client: httpx2.Client, held: int, user: int
) -> None:
    assert client.delete(f"/api/reservations/{held}?userId={user}").status_code == 200


@pytest.mark.parametrize(
    ("before", "action", "status", "code"),
    [
        (release, purchase, 409, "reservation_closed"),
        (purchase, release, 409, "reservation_closed"),
    ],
)
def test_a_closed_hold_stays_closed(
    client: httpx2.Client,
    database: Database,
    held: int,
    user: int,
    before: Callable[[httpx2.Client, int, int], httpx2.Response],
    action: Callable[[httpx2.Client, int, int], httpx2.Response],
    status: int,
    code: str,
) -> None:
    before(client, held, user)
    with unchanged(database):
        problem(action(client, held, user), status, code)


def test_holds_that_were_given_outlive_a_pause_and_not_a_cancellation(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, user: int
) -> None:
    paused, cancelled = make_drop(1), make_drop(1)
    holds = [inventory.reserve(drop_id, user).id for drop_id in (paused, cancelled)]
    client.patch(f"/api/drops/{paused}", json={"state": "PAUSED"})
    client.patch(f"/api/drops/{cancelled}", json={"state": "CANCELLED"})
    assert purchase(client, holds[0], user).status_code == 201
    problem(purchase(client, holds[1], user), 409, "drop_cancelled")
    assert database.stock(cancelled) == (0, 1, 0)


def test_a_released_unit_goes_to_the_next_who_asks(
    client: httpx2.Client, held: int, user: int, make_users: MakeUsers
) -> None:
    (other,) = make_users(1)
    problem(reserve(client, 1, other), 409, "sold_out")
    release(client, held, user)
    assert reserve(client, 1, other).status_code == 201
