"""Bodies that are no JSON object, or too much of one: a clear refusal, whatever was sent, and never a 500."""

import json
from collections.abc import Iterator

import httpx2
import pytest

from lib.http import MAX_BODY_BYTES
from tests.support.api import JSON, problem, unchanged
from tests.support.database import Database

GOOD = b'{"name":"Runner","price":10,"totalStock":3}'
ROUTES = [
    ("POST", "/api/drops"),
    ("PATCH", "/api/drops/1"),
    ("POST", "/api/drops/1/restock"),
    ("POST", "/api/reserve/1"),
    ("POST", "/api/purchase/1"),
    ("POST", "/api/users"),
    ("DELETE", "/api/reservations/1"),
]
MALFORMED = [
    b"{",
    b"not json",
    b'{"userId":1,}',
    b"{'userId':1}",
    b'{"userId":1}{"userId":2}',
    b"\x00",
    b'{"username":"\xff"}',
    b"\xff\xfe",
    b'{"username":"a\nb"}',
    b'{"userId":0x10}',
    b"[" * 10_000,
    b"[" * MAX_BODY_BYTES,
    b'{"a":' * (MAX_BODY_BYTES // 5),
    b"[" * 10_000 + b"]" * 10_000,
    b'{"username":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
    b'{"userId":' + b"9" * 5000 + b"}",
    b"<xml/>",
    b"userId=1",
]
NO_OBJECTS = [b"[]", b'[{"userId":1}]', b"1", b'"userId"', b"true", b"1.5", b"NaN"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_what_is_no_json_is_refused_as_malformed(
    client: httpx2.Client, database: Database, method: str, path: str
) -> None:
    with unchanged(database):
        for body in MALFORMED:
            problem(client.request(method, path, content=body, headers=JSON), 400, "malformed_json")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_json_that_is_no_object_is_refused_and_told_what_is_wanted(
    client: httpx2.Client, database: Database, method: str, path: str
) -> None:
    empty = [b"", b"null"] if method != "DELETE" else []  # a release without a body is one without a userId
    with unchanged(database):
        for body in NO_OBJECTS + empty:
            refused = problem(client.request(method, path, content=body, headers=JSON), 422, "validation_failed")
            assert "JSON object" in refused["detail"]


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x", ""],
)
def test_json_sent_as_something_else_is_refused_and_told_how_to_send_it(
    client: httpx2.Client, database: Database, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    with unchanged(database):
        answer = client.post("/api/drops", content=GOOD, headers=headers)
    assert "Content-Type: application/json" in problem(answer, 422, "validation_failed")["detail"]


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
def test_json_is_taken_however_its_type_is_spelled(
    client: httpx2.Client, database: Database, content_type: str
) -> None:
    assert client.post("/api/drops", content=GOOD, headers={"Content-Type": content_type}).status_code == 201


def test_of_a_field_twice_the_last_counts_as_in_every_browser(client: httpx2.Client, database: Database) -> None:
    answer = client.post("/api/users", content=b'{"username":"ada","username":"bob"}', headers=JSON)
    assert answer.json()["user"]["username"] == "bob"


def test_a_body_of_64_kb_is_taken(client: httpx2.Client, database: Database) -> None:
    assert client.post("/api/drops", content=GOOD.ljust(MAX_BODY_BYTES), headers=JSON).status_code == 201


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_one_byte_more_is_refused_however_it_comes(
    client: httpx2.Client, database: Database, method: str, path: str
) -> None:
    body = GOOD.ljust(MAX_BODY_BYTES + 1)

    def chunks() -> Iterator[bytes]:
        yield body[:40_000]
        yield body[40_000:]

    with unchanged(database):
        problem(client.request(method, path, content=body, headers=JSON), 413, "too_large")
        problem(client.request(method, path, content=chunks(), headers=JSON), 413, "too_large")


def test_what_was_sent_is_not_repeated(client: httpx2.Client, database: Database) -> None:
    secret = "correct horse battery staple"
    body = {"name": "\x00" + secret, "price": secret, "totalStock": secret, "dropStartTime": secret, "currency": secret}
    answer = client.post("/api/drops", content=json.dumps(body), headers=JSON)
    problem(answer, 422, "validation_failed")
    assert secret not in answer.text
