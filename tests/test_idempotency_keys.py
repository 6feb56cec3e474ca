"""Idempotency-Key on requests that are not idempotent by nature: creating a drop, restocking it, creating a user."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from tests.support.api import problem, unchanged
from tests.support.database import Database

MakeDrop = Callable[..., int]

DROP = {"name": "Runner", "price": 10, "totalStock": 3}
CALLS = [
    pytest.param("/api/drops", DROP, {**DROP, "totalStock": 4}, 201, id="create"),
    pytest.param("/api/drops/1/restock", {"quantity": 2}, {"quantity": 3}, 200, id="restock"),
    pytest.param("/api/users", {"username": "ada"}, {"username": "bob"}, 201, id="user"),
]
KEY = {"Idempotency-Key": "order 1"}


@pytest.mark.parametrize(("path", "body", "other", "status"), CALLS)
def test_a_repeated_request_has_one_effect_and_says_so(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, path: str, body: object, other: object, status: int
) -> None:
    make_drop(5)
    first = client.post(path, json=body, headers=KEY)
    with unchanged(database):
        again = client.post(path, json=body, headers=KEY)
    assert (first.status_code, "idempotency-replayed" in first.headers) == (status, False)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (status, "true")
    assert without_version(again) == without_version(first)


@pytest.mark.parametrize(("path", "body", "other", "status"), CALLS)
def test_a_key_with_another_request_is_refused(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, path: str, body: object, other: object, status: int
) -> None:
    make_drop(5)
    client.post(path, json=body, headers=KEY)
    with unchanged(database):
        problem(client.post(path, json=other, headers=KEY), 422, "idempotency_mismatch")


@pytest.mark.parametrize(("path", "body", "other", "status"), CALLS)
def test_without_a_key_or_with_another_one_the_request_counts_again(
    client: httpx2.Client, make_drop: MakeDrop, path: str, body: object, other: object, status: int
) -> None:
    make_drop(5)
    expected = 409 if path == "/api/users" else status
    for headers in (KEY, {}, {"Idempotency-Key": "order 2"}):
        answer = client.post(path, json=body, headers=headers)
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (
            status if headers == KEY else expected,
            False,
        )


@pytest.mark.parametrize(("path", "body", "other", "status"), CALLS)
def test_eight_requests_with_one_key_at_once_have_one_effect(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, path: str, body: object, other: object, status: int
) -> None:
    make_drop(5)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.post(path, json=body, headers=KEY), range(8)))
    assert [answer.status_code for answer in answers] == [status] * 8
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    made = {"/api/drops": (2, 8, 0), "/api/drops/1/restock": (1, 7, 0), "/api/users": (1, 5, 1)}[path]
    counts = "select count(*), sum(total_stock), (select count(*) from users) from drops"
    assert database.rows(counts) == [made]
    database.assert_conserved()


@pytest.mark.parametrize(
    ("path", "refused", "accepted"),
    [
        ("/api/drops", {**DROP, "dropEndTime": "2001-01-01T00:00:00Z"}, DROP),
        ("/api/drops/1/restock", {"quantity": -6}, {"quantity": 6}),
        ("/api/users", {"username": "taken"}, {"username": "free"}),
    ],
)
def test_a_refused_request_leaves_its_key_free(
    client: httpx2.Client, make_drop: MakeDrop, path: str, refused: object, accepted: object
) -> None:
    make_drop(5)
    client.post("/api/users", json={"username": "taken"})
    assert client.post(path, json=refused, headers=KEY).status_code in (409, 422)
    answer = client.post(path, json=accepted, headers=KEY)
    assert (answer.is_success, "idempotency-replayed" in answer.headers) == (True, False)


def test_a_key_of_one_route_is_free_on_another(client: httpx2.Client, make_drop: MakeDrop) -> None:
    make_drop(5)
    answers = [client.post(path, json=body, headers=KEY) for path, body, _, _ in (call.values for call in CALLS)]
    assert [answer.status_code for answer in answers] == [201, 200, 201]


def test_a_key_of_one_drop_is_refused_on_another(client: httpx2.Client, make_drop: MakeDrop) -> None:
    make_drop(5)
    make_drop(5)
    assert client.post("/api/drops/1/restock", json={"quantity": 1}, headers=KEY).status_code == 200
    problem(client.post("/api/drops/2/restock", json={"quantity": 1}, headers=KEY), 422, "idempotency_mismatch")


@pytest.mark.parametrize("key", ["x" * 256, "", "caf\xe9".encode("latin-1"), b"\xff\xfe"])
def test_a_key_that_cannot_be_kept_is_refused(client: httpx2.Client, database: Database, key: str | bytes) -> None:
    with unchanged(database):
        answer = client.post("/api/users", json={"username": "ada"}, headers={"Idempotency-Key": key})
    assert "idempotency-key" in problem(answer, 422, "validation_failed")["detail"]


def test_a_key_of_255_characters_is_kept(client: httpx2.Client, database: Database) -> None:
    headers = {"Idempotency-Key": "x" * 255}
    for _ in range(2):
        assert client.post("/api/users", json={"username": "ada"}, headers=headers).status_code == 201


def test_equal_requests_in_other_words_are_one(client: httpx2.Client, database: Database) -> None:
    client.post(
        "/api/drops",
        content=b'{"name":"a","price":10,"totalStock":3}',
        headers={**KEY, "Content-Type": "application/json"},
    )
    reworded = b'{ "totalStock": 3, "currency": "USD", "price": "10.00", "name": " a " }'
    again = client.post("/api/drops", content=reworded, headers={**KEY, "Content-Type": "application/json"})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert database.value("select count(*) from drops") == 1


def without_version(answer: httpx2.Response) -> object:
    """The body. A drop's version counts what was published meanwhile, so it may have moved."""
    body = answer.json()
    return {**body, "drop": {**body["drop"], "version": 0}} if "drop" in body else body


def test_a_drop_whose_end_has_passed_since_is_still_the_first_answer(client: httpx2.Client, database: Database) -> None:
    short = {**DROP, "dropEndTime": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    first = client.post("/api/drops", json=short, headers=KEY)
    database.shift_clock(2 * 3600)
    with unchanged(database):
        again = client.post("/api/drops", json=short, headers=KEY)
    assert (again.status_code, again.headers.get("idempotency-replayed")) == (201, "true"), again.text
    assert again.json()["drop"]["id"] == first.json()["drop"]["id"]
    with unchanged(database):
        late = client.post("/api/drops", json=short, headers={"Idempotency-Key": "too late"})
        problem(late, 422, "validation_failed")
