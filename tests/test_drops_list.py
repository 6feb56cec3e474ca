"""The list of drops: which are in it, page by page, and what a shared cache may keep."""

import re
from collections.abc import Callable
from datetime import timedelta

import httpx2
import pytest

from lib import inventory
from tests.support.database import Database

MakeDrop = Callable[..., int]
MakeUsers = Callable[[int], list[int]]


def ids(answer: httpx2.Response) -> list[int]:
    assert answer.status_code == 200
    return [drop["id"] for drop in answer.json()]


def next_page(answer: httpx2.Response) -> str | None:
    """The address in the Link header (RFC 8288), if there is one."""
    found = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("link", ""))
    return found and found[1]


@pytest.fixture
def one_of_each(database: Database, make_drop: MakeDrop, make_users: MakeUsers) -> dict[str, int]:
    """A drop of every status, by status."""
    (user,) = make_users(1)
    now = database.value("select clock()")
    hour = timedelta(hours=1)
    drops = {
        "LIVE": make_drop(1),
        "SOLD_OUT": make_drop(1),
        "PAUSED": make_drop(1),
        "UPCOMING": make_drop(1, start=now + hour),
        "ENDED": make_drop(1, start=now - 2 * hour, end=now - hour),
        "CANCELLED": make_drop(1),
    }
    inventory.reserve(drops["SOLD_OUT"], user)
    for state in ("PAUSED", "CANCELLED"):
        inventory.update_drop(drops[state], {"state": state})
    return drops


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        ("", ["PAUSED", "SOLD_OUT", "LIVE"]),
        ("?status=live", ["PAUSED", "SOLD_OUT", "LIVE"]),
        ("?status=upcoming", ["UPCOMING"]),
        ("?status=ended", ["CANCELLED", "ENDED"]),
        ("?status=all", ["CANCELLED", "ENDED", "UPCOMING", "PAUSED", "SOLD_OUT", "LIVE"]),
    ],
)
def test_each_list_holds_the_drops_of_its_phase_newest_first(
    client: httpx2.Client, one_of_each: dict[str, int], query: str, statuses: list[str]
) -> None:
    answer = client.get(f"/api/drops{query}")
    assert [drop["status"] for drop in answer.json()] == statuses
    assert ids(answer) == [one_of_each[status] for status in statuses]


def test_a_drop_that_starts_moves_from_upcoming_to_live_by_the_databases_clock(
    client: httpx2.Client, database: Database, make_drop: MakeDrop
) -> None:
    drop_id = make_drop(1, start=database.value("select clock()") + timedelta(seconds=100))
    assert (ids(client.get("/api/drops")), ids(client.get("/api/drops?status=upcoming"))) == ([], [drop_id])
    database.shift_clock(101)
    assert (ids(client.get("/api/drops")), ids(client.get("/api/drops?status=upcoming"))) == ([drop_id], [])


@pytest.mark.parametrize("limit", [1, 7, 12, 24, 100])
def test_pages_hold_every_drop_once_in_order(client: httpx2.Client, make_drop: MakeDrop, limit: int) -> None:
    made = [make_drop(1) for _ in range(24)]
    seen: list[int] = []
    address: str | None = f"/api/drops?limit={limit}"
    while address is not None:
        answer = client.get(address)
        assert 0 < len(ids(answer)) <= limit
        seen += ids(answer)
        address = next_page(answer)
    assert seen == made[::-1]


def test_a_drop_made_between_two_pages_moves_none(client: httpx2.Client, make_drop: MakeDrop) -> None:
    made = [make_drop(1) for _ in range(4)]
    first = client.get("/api/drops?limit=2")
    make_drop(1)
    address = next_page(first)
    assert address is not None
    assert ids(first) + ids(client.get(address)) == made[::-1]


def test_the_next_page_is_of_the_same_list(client: httpx2.Client, one_of_each: dict[str, int]) -> None:
    address = next_page(client.get("/api/drops?status=ended&limit=1"))
    assert address is not None
    assert ids(client.get(address)) == [one_of_each["ENDED"]]


def test_an_empty_list_is_an_empty_array(client: httpx2.Client, database: Database) -> None:
    answer = client.get("/api/drops")
    assert (answer.status_code, answer.json(), next_page(answer)) == (200, [], None)


def test_the_list_and_a_drop_tell_the_same(client: httpx2.Client, one_of_each: dict[str, int]) -> None:
    listed = {drop["id"]: drop for drop in client.get("/api/drops?status=all").json()}
    assert listed == {drop_id: client.get(f"/api/drops/{drop_id}").json() for drop_id in one_of_each.values()}


@pytest.mark.parametrize("path", ["/api/drops", "/api/drops/{drop_id}"])
def test_a_shared_cache_may_keep_an_answer_for_a_second(client: httpx2.Client, make_drop: MakeDrop, path: str) -> None:
    answer = client.get(path.format(drop_id=make_drop(1)))
    directives = [entry.strip() for entry in answer.headers["cache-control"].split(",")]
    assert {"public", "s-maxage=1"} <= set(directives)
    assert any(re.fullmatch(r"stale-while-revalidate=\d+", entry) for entry in directives)


@pytest.mark.parametrize("path", ["/api/drops", "/api/drops/{drop_id}"])
@pytest.mark.parametrize("sent", ["{tag}", "W/{tag}", '"other", {tag}', "*"])
def test_who_has_the_answer_hears_304_without_a_body(
    client: httpx2.Client, make_drop: MakeDrop, path: str, sent: str
) -> None:
    address = path.format(drop_id=make_drop(1))
    first = client.get(address)
    again = client.get(address, headers={"If-None-Match": sent.format(tag=first.headers["etag"])})
    assert (again.status_code, again.content) == (304, b"")
    # RFC 9110 section 15.4.5: what a 200 would have said for the cache.
    for name in ("etag", "cache-control", "vary"):
        assert again.headers[name] == first.headers[name]


def test_a_page_of_a_list_keeps_its_link_in_a_304(client: httpx2.Client, make_drop: MakeDrop) -> None:
    for _ in range(2):
        make_drop(1)
    first = client.get("/api/drops?limit=1")
    again = client.get(
        "/api/drops?limit=1", headers=[("If-None-Match", '"x"'), ("If-None-Match", first.headers["etag"])]
    )
    assert (again.status_code, again.headers["link"]) == (304, first.headers["link"])


def test_the_tag_changes_with_the_stock(client: httpx2.Client, make_drop: MakeDrop, make_users: MakeUsers) -> None:
    (user,) = make_users(1)
    drop_id = make_drop(2)
    tag = client.get("/api/drops").headers["etag"]
    inventory.reserve(drop_id, user)
    answer = client.get("/api/drops", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json()[0]["availableStock"]) == (200, 1)
