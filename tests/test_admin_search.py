"""The shop finds its drops: by name, id and status, in pages."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from lib import inventory
from tests.support.api import pages, problem
from tests.support.database import Database

MakeDrop = Callable[..., int]
MakeUsers = Callable[[int], list[int]]


def search(client: httpx2.Client, **query: Any) -> list[int]:
    answer = client.get("/api/admin/drops", params=query)
    assert answer.status_code == 200, answer.text
    return [drop["id"] for drop in answer.json()["drops"]]


def test_drops_are_found_by_a_part_of_their_name_or_by_their_id(client: httpx2.Client, make_drop: MakeDrop) -> None:
    names = ["Night Ferry", "night watch", "50% Off_Tee", "Ærø \\ Regatta"]
    ferry, watch, tee, regatta = [make_drop(1, name=name) for name in names]
    assert search(client) == [regatta, tee, watch, ferry]
    assert search(client, q="  NIGHT ") == [watch, ferry]
    assert search(client, q="ærø") == [regatta]
    # Wildcards of SQL are letters like all others.
    assert search(client, q="%") == search(client, q="_") == search(client, q="0% o") == [tee]
    assert search(client, q="\\") == [regatta]
    assert search(client, q="night%ferry") == search(client, q="' or true --") == []
    assert search(client, q=str(watch)) == search(client, q=f"#{watch}") == [watch]
    assert search(client, q="9" * 18) == search(client, q="9" * 30) == []


def test_drops_are_found_by_their_status(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    (user,) = make_users(1)
    now = database.value("select clock()")
    day = database.value("select interval '1 day'")
    made = {
        "LIVE": make_drop(2),
        "SOLD_OUT": make_drop(1),
        "UPCOMING": make_drop(1, start=now + day),
        "PAUSED": make_drop(1),
        "ENDED": make_drop(1, start=now - day, end=now),
        "CANCELLED": make_drop(1),
    }
    inventory.reserve(made["SOLD_OUT"], user)
    inventory.update_drop(made["PAUSED"], {"state": "PAUSED"})
    inventory.update_drop(made["CANCELLED"], {"state": "CANCELLED"})
    assert {status: search(client, status=status) for status in made} == {
        status: [drop] for status, drop in made.items()
    }
    assert search(client, status="LIVE", q="no such name") == []


def test_what_was_found_comes_in_pages(client: httpx2.Client, make_drop: MakeDrop) -> None:
    drops = [make_drop(1, name=f"Drop & <{n}>") for n in range(5)][::-1]
    make_drop(1, name="Other")
    found = pages(client, "/api/admin/drops?q=p %26 <&limit=2&status=LIVE", "drops")
    assert found == [drops[:2], drops[2:4], drops[4:]]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "status=live", "status=OPEN", "q=%00", "q=a%0Ab", "q=%0Ba", "q=" + "x" * 201, "after=x"],
)
def test_a_search_has_bounds(client: httpx2.Client, database: Database, query: str) -> None:
    problem(client.get(f"/api/admin/drops?{query}"), 422, "validation_failed")
