"""The routes of drops: what viewers read, page by page and while the clock moves, and what the shop changes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from lib import inventory
from tests.support.api import is_time, problem, shape
from tests.support.database import Database

MakeDrop = Callable[..., int]
MakeUsers = Callable[[int], list[int]]

DROP_SHAPE = {
    "id": int,
    "name": str,
    "imageUrl": str,
    "price": float,
    "currency": str,
    "totalStock": int,
    "availableStock": int,
    "soldCount": int,
    "status": str,
    "dropStartTime": "time",
    "dropEndTime": "time",
    "holdSeconds": int,
    "maxPerUser": int,
    "sizes": [{"size": str, "totalStock": int, "availableStock": int}],
    "version": int,
    "stockVersion": int,
    "nextExpiryAt": "time",
    "recentPurchases": [{"userId": int, "username": str, "timestamp": "time"}],
}


def clock(database: Database, seconds: float = 0) -> datetime:
    """The database's time, so many seconds from now."""
    now: datetime = database.value("select clock()")
    return now + timedelta(seconds=seconds)


def status_of(client: httpx2.Client, drop_id: int) -> str:
    return str(client.get(f"/api/drops/{drop_id}").json()["status"])


def test_a_drop_has_exactly_the_fields_of_the_contract(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    buyer, holder = make_users(2)
    drop_id = make_drop(
        3, image_url="https://shop.example/1.png", end=clock(database, 3600), max_per_user=2, currency="EUR"
    )
    inventory.purchase(inventory.reserve(drop_id, buyer).id, buyer)
    inventory.reserve(drop_id, holder)
    drop = client.get(f"/api/drops/{drop_id}").json()
    assert shape(drop) == DROP_SHAPE
    assert {key: drop[key] for key in ("totalStock", "availableStock", "soldCount", "currency", "maxPerUser")} == {
        "totalStock": 3,
        "availableStock": 1,
        "soldCount": 1,
        "currency": "EUR",
        "maxPerUser": 2,
    }


def test_what_a_drop_does_not_have_is_null_not_absent(client: httpx2.Client, make_drop: MakeDrop) -> None:
    drop = client.get(f"/api/drops/{make_drop(1)}").json()
    assert set(drop) == set(DROP_SHAPE)
    absent = ("imageUrl", "dropEndTime", "maxPerUser", "nextExpiryAt")
    assert [drop[name] for name in absent] == [None] * 4
    assert drop["recentPurchases"] == []


def test_creating_a_drop_answers_201_with_the_drop_as_it_reads(client: httpx2.Client, database: Database) -> None:
    answer = client.post("/api/drops", json={"name": "  Runner ", "price": 19.99, "totalStock": 7})
    assert answer.status_code == 201
    assert set(answer.json()) == {"message", "drop"}
    drop = answer.json()["drop"]
    assert (drop["name"], drop["price"], drop["currency"], drop["holdSeconds"]) == ("Runner", 19.99, "USD", 60)
    # The version counts what was published, and a new drop is.
    assert {**drop, "version": 0} == {**client.get(f"/api/drops/{drop['id']}").json(), "version": 0}
    assert database.rows("select name, price::text, total_stock from drops") == [("Runner", "19.99", 7)]


def test_a_drop_with_sizes_keeps_their_order_and_sums_their_stock(client: httpx2.Client) -> None:
    sizes = [{"size": "XL", "stock": 3}, {"size": "S", "stock": 4}]
    drop = client.post("/api/drops", json={"name": "Tee", "price": 1, "sizes": sizes}).json()["drop"]
    assert drop["totalStock"] == drop["availableStock"] == 7
    assert drop["sizes"] == [
        {"size": "XL", "totalStock": 3, "availableStock": 3},
        {"size": "S", "totalStock": 4, "availableStock": 4},
    ]


def test_a_drop_without_sizes_has_one_without_a_label(client: httpx2.Client, make_drop: MakeDrop) -> None:
    drop = client.get(f"/api/drops/{make_drop(5)}").json()
    assert drop["sizes"] == [{"size": "", "totalStock": 5, "availableStock": 5}]


def test_a_drop_moves_through_its_statuses_with_the_clock(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    (user,) = make_users(1)
    drop_id = make_drop(1, start=clock(database, 100), end=clock(database, 1000), hold_seconds=60)
    seen = [status_of(client, drop_id)]
    database.shift_clock(101)
    seen.append(status_of(client, drop_id))
    inventory.reserve(drop_id, user)
    seen.append(status_of(client, drop_id))
    database.shift_clock(61)
    inventory.expire_due(10)
    seen.append(status_of(client, drop_id))
    database.shift_clock(1000)
    seen.append(status_of(client, drop_id))
    assert seen == ["UPCOMING", "LIVE", "SOLD_OUT", "LIVE", "ENDED"]


def test_nobody_gets_a_unit_at_the_end_and_everybody_just_before(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    end, users = clock(database, 100), make_users(2)
    drop_id = make_drop(2, end=end)
    database.freeze_clock(end)
    problem(client.post(f"/api/reserve/{drop_id}", json={"userId": users[0]}), 409, "drop_ended")
    database.freeze_clock(end - timedelta(microseconds=1))
    assert client.post(f"/api/reserve/{drop_id}", json={"userId": users[1]}).status_code == 201


@pytest.mark.parametrize(("state", "status"), [("PAUSED", "PAUSED"), ("CANCELLED", "CANCELLED"), ("OPEN", "LIVE")])
def test_the_shop_sets_the_state(client: httpx2.Client, make_drop: MakeDrop, state: str, status: str) -> None:
    drop_id = make_drop(1)
    answer = client.patch(f"/api/drops/{drop_id}", json={"state": state})
    assert (answer.status_code, set(answer.json()), answer.json()["drop"]["status"]) == (200, {"drop"}, status)


def test_another_hold_time_is_for_new_holds_alone(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    drop_id, (ann, bob) = make_drop(2, hold_seconds=60), make_users(2)
    before = inventory.reserve(drop_id, ann)
    assert client.patch(f"/api/drops/{drop_id}", json={"holdSeconds": 300}).json()["drop"]["holdSeconds"] == 300
    after = inventory.reserve(drop_id, bob)
    lasts = [(hold.expires_at - hold.created_at).total_seconds() for hold in (before, after)]
    assert lasts == [60, 300]
    assert inventory.reserve(drop_id, ann).expires_at == before.expires_at


def test_a_paused_drop_opens_again_and_a_cancelled_one_does_not(client: httpx2.Client, make_drop: MakeDrop) -> None:
    drop_id = make_drop(1)
    for state in ("PAUSED", "OPEN", "CANCELLED"):
        assert client.patch(f"/api/drops/{drop_id}", json={"state": state}).status_code == 200
    problem(client.patch(f"/api/drops/{drop_id}", json={"state": "OPEN"}), 409, "drop_cancelled")
    assert status_of(client, drop_id) == "CANCELLED"


def test_a_change_changes_what_it_names_and_nothing_else(client: httpx2.Client, make_drop: MakeDrop) -> None:
    drop_id = make_drop(4, image_url="/a.png", max_per_user=2)
    before = client.get(f"/api/drops/{drop_id}").json()
    changes: dict[str, Any] = {"name": "New", "price": 5.5, "imageUrl": None, "maxPerUser": 3}
    after = client.patch(f"/api/drops/{drop_id}", json=changes).json()["drop"]
    # The version counts what was published, and the change is.
    assert {**after, "version": 0} == {**before, **changes, "version": 0}


def test_an_end_can_be_set_and_taken_back(client: httpx2.Client, database: Database, make_drop: MakeDrop) -> None:
    drop_id = make_drop(1)
    end = clock(database, 60).isoformat()
    assert is_time(client.patch(f"/api/drops/{drop_id}", json={"dropEndTime": end}).json()["drop"]["dropEndTime"])
    assert client.patch(f"/api/drops/{drop_id}", json={"dropEndTime": None}).json()["drop"]["dropEndTime"] is None


def test_an_end_before_the_start_is_refused_whichever_is_moved(
    client: httpx2.Client, database: Database, make_drop: MakeDrop
) -> None:
    drop_id = make_drop(1, end=clock(database, 60))
    problem(
        client.patch(f"/api/drops/{drop_id}", json={"dropStartTime": "2999-01-01T00:00:00Z"}), 422, "validation_failed"
    )
    problem(
        client.patch(f"/api/drops/{drop_id}", json={"dropEndTime": "1999-01-01T00:00:00Z"}), 422, "validation_failed"
    )


def test_restock_adds_units_and_takes_away_what_is_on_sale(
    client: httpx2.Client, database: Database, make_drop: MakeDrop
) -> None:
    drop_id = make_drop(5)
    added = client.post(f"/api/drops/{drop_id}/restock", json={"quantity": 3})
    assert (added.status_code, added.json()["drop"]["totalStock"], added.json()["drop"]["availableStock"]) == (
        200,
        8,
        8,
    )
    taken = client.post(f"/api/drops/{drop_id}/restock", json={"quantity": -8}).json()["drop"]
    assert (taken["totalStock"], taken["availableStock"], taken["status"]) == (0, 0, "SOLD_OUT")
    database.assert_conserved()


def test_restock_never_goes_below_what_is_held_and_sold(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    buyer, holder = make_users(2)
    drop_id = make_drop(5)
    inventory.purchase(inventory.reserve(drop_id, buyer).id, buyer)
    inventory.reserve(drop_id, holder)
    refused = client.post(f"/api/drops/{drop_id}/restock", json={"quantity": -4})
    assert "3" in problem(refused, 409, "stock_committed")["detail"]
    assert database.stock(drop_id) == (3, 1, 1)
    assert client.post(f"/api/drops/{drop_id}/restock", json={"quantity": -3}).json()["drop"]["totalStock"] == 2


def test_restock_of_one_size_leaves_the_other(client: httpx2.Client, make_drop: MakeDrop) -> None:
    drop_id = make_drop(sizes=[("8", 3), ("9", 3)])
    drop = client.post(f"/api/drops/{drop_id}/restock", json={"quantity": 2, "size": "9"}).json()["drop"]
    assert [(size["size"], size["totalStock"]) for size in drop["sizes"]] == [("8", 3), ("9", 5)]
    problem(client.post(f"/api/drops/{drop_id}/restock", json={"quantity": 1}), 422, "size_required")
    problem(client.post(f"/api/drops/{drop_id}/restock", json={"quantity": 1, "size": "7"}), 422, "unknown_size")


def test_the_feed_holds_the_three_newest_buyers_newest_first(
    client: httpx2.Client, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    users = make_users(5)
    drop_id = make_drop(5)
    for user in users:
        inventory.purchase(inventory.reserve(drop_id, user).id, user)
    feed = client.get(f"/api/drops/{drop_id}").json()["recentPurchases"]
    assert [entry["userId"] for entry in feed] == users[:1:-1]
    times = [entry["timestamp"] for entry in feed]
    assert times == sorted(times, reverse=True)


def test_the_next_expiry_is_the_earliest_deadline(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    first, second = make_users(2)
    drop_id = make_drop(2, hold_seconds=60)
    deadline = inventory.reserve(drop_id, first).expires_at
    database.shift_clock(10)
    inventory.reserve(drop_id, second)
    told = client.get(f"/api/drops/{drop_id}").json()["nextExpiryAt"]
    assert datetime.fromisoformat(told) == deadline


def test_a_picture_that_was_taken_before_https_was_asked_for_is_read_and_can_be_taken_away(
    client: httpx2.Client, database: Database, make_drop: MakeDrop
) -> None:
    drop_id = make_drop(1)
    database.connection.execute("update drops set image_url = 'http://shop.example/a.png'")
    assert client.get(f"/api/drops/{drop_id}").json()["imageUrl"] == "http://shop.example/a.png"
    assert client.patch(f"/api/drops/{drop_id}", json={"price": 7}).json()["drop"]["price"] == 7
    assert client.patch(f"/api/drops/{drop_id}", json={"imageUrl": None}).json()["drop"]["imageUrl"] is None
