"""The routes of users."""

import re
from collections.abc import Callable

import httpx2
import pytest

from tests.support.api import problem, shape, unchanged
from tests.support.database import Database


def test_a_new_user_comes_back_under_user_beside_a_message(client: httpx2.Client, database: Database) -> None:
    answer = client.post("/api/users", json={"username": "  ada "})
    assert (answer.status_code, shape(answer.json())) == (201, {"message": str, "user": {"id": int, "username": str}})
    assert answer.json()["user"] == {"id": 1, "username": "ada"}
    assert database.rows("select id, username from users") == [(1, "ada")]


@pytest.mark.parametrize("username", ["ada", " ada ", "ada\n"])
def test_a_username_is_there_once(client: httpx2.Client, database: Database, username: str) -> None:
    client.post("/api/users", json={"username": "ada"})
    with unchanged(database):
        problem(client.post("/api/users", json={"username": username}), 409, "username_taken")


@pytest.mark.parametrize("username", ["x", "é" * 200, "日本", "👟", "O'Brien; drop table users", "%s %(x)s", "<b>"])
def test_any_text_is_a_username_and_comes_back_unchanged(
    client: httpx2.Client, database: Database, username: str
) -> None:
    assert client.post("/api/users", json={"username": username}).json()["user"]["username"] == username
    assert client.get("/api/users").json() == {"users": [{"id": 1, "username": username}]}


def test_users_are_listed_oldest_first(client: httpx2.Client, make_users: Callable[[int], list[int]]) -> None:
    made = make_users(5)
    answer = client.get("/api/users")
    assert (answer.status_code, shape(answer.json())) == (200, {"users": [{"id": int, "username": str}] * 5})
    assert [user["id"] for user in answer.json()["users"]] == made


@pytest.mark.parametrize("limit", [1, 4, 12, 13])
def test_pages_hold_every_user_once(client: httpx2.Client, make_users: Callable[[int], list[int]], limit: int) -> None:
    made = make_users(12)
    seen: list[int] = []
    address: str | None = f"/api/users?limit={limit}"
    while address is not None:
        answer = client.get(address)
        seen += [user["id"] for user in answer.json()["users"]]
        link = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("link", ""))
        address = link and link[1]
    assert seen == made


def test_names_of_users_are_not_for_shared_caches(client: httpx2.Client, database: Database) -> None:
    assert client.get("/api/users").headers["cache-control"] == "no-store"
