"""What tests of the HTTP contract say about answers, and about what a refused request leaves behind."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.support.database import Database

# outbox and drop_feeds are left out: the delivery after an earlier reply may still be at work on them.
TABLES = ("users", "drops", "drop_sizes", "stock_stripes", "reservations", "purchases", "idempotency_keys")
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
JSON = {"Content-Type": "application/json"}


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The body of a failure, which has to be a whole RFC 9457 problem with this status and code, and to give nothing
    away."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), (
        response.status_code,
        response.text[:500],
    )
    body: dict[str, Any] = response.json()
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "code", "error", "requestId"}
    assert (body["status"], body["code"], body["type"]) == (status, code, "about:blank")
    assert body["error"] == body["detail"] and isinstance(body["error"], str) and body["error"]
    assert isinstance(body["title"], str) and body["title"]
    assert body["requestId"] == response.headers["x-request-id"]
    assert_gives_nothing_away(response.text)
    return body


def codes(answers: Iterable[httpx2.Response]) -> list[str]:
    """The code of each failure; of an answer that is none, the assertion shows it."""
    return [problem(answer, answer.status_code, answer.json().get("code", ""))["code"] for answer in answers]


def assert_gives_nothing_away(text: str) -> None:
    """No HTML, stack trace, SQL, driver or library message, or path of the server."""
    assert not re.search(
        r"<!doctype|<html|traceback|line \d+|\.py\b|psycopg|pgbouncer|pydantic|select \*|insert into|constraint|"
        r"relation |postgresql://|127\.0\.0\.1",
        text,
        re.IGNORECASE,
    ), text[:500]


def fingerprint(database: Database) -> dict[str, str]:
    """The content of every table, one hash each."""
    return {
        table: database.value(f"select coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {table} t")
        for table in TABLES
    }


@contextmanager
def unchanged(database: Database) -> Iterator[None]:
    """What happens inside leaves every table as it was."""
    before = fingerprint(database)
    yield
    assert fingerprint(database) == before


def pages(client: httpx2.Client, path: str, key: str) -> list[list[int]]:
    """The ids of each page, as its Link header leads from one to the next."""
    found, address = [], path
    while address:
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        found.append([item["id"] for item in answer.json()[key]])
        address = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    return found


def is_time(value: object) -> bool:
    """A time as the API writes it: UTC, microseconds."""
    return isinstance(value, str) and UTC_TIME.fullmatch(value) is not None


def shape(value: Any) -> Any:
    """A value with types in place of its leaves, to compare whole answers by field names and types."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return "time" if is_time(value) else type(value)
