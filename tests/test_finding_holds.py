"""How a page finds holds that it did not make: on another device, or after its storage was cleared."""

from collections.abc import Callable

import httpx2

from lib import inventory
from tests.support.api import problem, unchanged
from tests.support.database import Database

MakeDrop = Callable[..., int]
MakeUsers = Callable[[int], list[int]]


def test_a_buyer_finds_the_holds_that_are_still_good_by_drop(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    long, short, bought, others, unasked = [make_drop(hold_seconds=seconds) for seconds in (90, 30, 90, 90, 90)]
    user, other = make_users(2)
    holds = {
        drop: client.post(f"/api/reserve/{drop}", json={"userId": user}).json()["reservation"]
        for drop in (long, short, bought, unasked)
    }
    inventory.reserve(others, other)
    inventory.purchase(holds[bought]["id"], user)
    query = "&".join(f"dropId={drop}" for drop in (others, bought, short, long, long))
    database.shift_clock(31)
    with unchanged(database):
        answer = client.get(f"/api/reservations?{query}&userId={user}")
    assert (answer.status_code, answer.json()) == (200, {"reservations": [holds[long]]})
    assert answer.headers["cache-control"] == "no-store"


def test_holds_are_asked_for_by_one_to_fifty_drops(client: httpx2.Client, database: Database) -> None:
    for query in ("", "dropId=0&", "dropId=x&", "&".join(f"dropId={number}" for number in range(1, 52)) + "&"):
        problem(client.get(f"/api/reservations?{query}userId=1"), 422, "validation_failed")
