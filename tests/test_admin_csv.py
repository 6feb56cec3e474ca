"""Purchases as a file: RFC 4180, whole or in parts, and nothing in it that a spreadsheet would run."""

import csv
import io
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from lib import errors, inventory, reports, sales_csv, trace
from lib.sales_csv import plain
from tests.support.api import is_time, problem
from tests.support.database import Database

MakeDrop = Callable[..., int]

# Purchases as calls would make them, many at once.
MANY = """
with buyers as (
  insert into users (username) select 'crowd ' || n from generate_series(1, %(count)s) n returning id
), holds as (
  insert into reservations (user_id, drop_id, size, stripe, status, expires_at, created_at, closed_at)
  select id, %(drop)s, '', 0, 'PURCHASED', clock() + interval '1 min', clock(), clock() from buyers returning *
), bought as (
  insert into purchases (reservation_id, user_id, drop_id, size, price, currency, created_at, drop_snapshot)
  select id, user_id, drop_id, size, 200, 'USD', created_at, '{}' from holds
)
update stock_stripes set available = available - %(count)s where drop_id = %(drop)s and stripe = 0
"""


def buy(username: str, drop: int, size: str | None = None) -> int:
    user = inventory.create_user(username)[0].id
    return inventory.purchase(inventory.reserve(drop, user, size).id, user).id


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_a_line_tells_a_purchase(client: httpx2.Client, make_drop: MakeDrop) -> None:
    drop = make_drop(sizes=[("M", 2), ("L", 2)])
    first, second = buy("Zoë", drop, "M"), buy('Ann, of "The" Bell', drop, "L")
    answer = client.get(f"/api/drops/{drop}/purchases.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="purchases-of-drop-{drop}.csv"'
    assert answer.headers["cache-control"] == "no-store"
    lines = answer.content.decode().split("\r\n")
    assert lines[0] == "id,timestamp,userId,username,size,price,currency,reservationId"
    assert lines[3] == "" and "\n" not in "".join(lines)
    assert ',"Ann, of ""The"" Bell",L,200.00,USD,' in lines[2]
    found = rows(answer.text)
    assert [(row["id"], row["username"], row["size"]) for row in found] == [
        (str(first), "Zoë", "M"),
        (str(second), 'Ann, of "The" Bell', "L"),
    ]
    assert all(is_time(row["timestamp"]) for row in found)
    assert [int(row["reservationId"]) for row in found] == [1, 2]


def test_a_drop_without_purchases_gives_the_names_of_the_columns(client: httpx2.Client, make_drop: MakeDrop) -> None:
    path = f"/api/drops/{make_drop(1)}/purchases.csv"
    for query in ("", "?limit=10"):
        answer = client.get(path + query)
        assert (answer.status_code, answer.text) == (200, sales_csv.header())


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ('=HYPERLINK("http://evil.example")', '\'=HYPERLINK("http://evil.example")'),
        ("+1", "'+1"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("\uff1d1", "'\uff1d1"),
        (" =1", "' =1"),
        ("ann;=1+1", "ann;'=1+1"),
        ("ann,@x", "ann,'@x"),
        ("ann| -1", "ann|' -1"),
        ("'=1", "''=1"),
        ("'tis", "''tis"),
        ("ann", "ann"),
        ("ann-marie", "ann-marie"),
        ("a=b", "a=b"),
        ("Smith, Ann", "Smith, Ann"),
        ("10 + 1", "10 + 1"),
        ("", ""),
    ],
)
def test_text_that_a_spreadsheet_would_run_is_made_plain(text: str, cell: str) -> None:
    assert plain(text) == cell


def test_names_and_sizes_in_the_file_are_plain(client: httpx2.Client, make_drop: MakeDrop) -> None:
    drop = make_drop(sizes=[("+46", 1)])
    buy("=cmd|' /C calc'!A0", drop, "+46")
    (row,) = rows(client.get(f"/api/drops/{drop}/purchases.csv").text)
    assert (row["username"], row["size"]) == ("'=cmd|'' /C calc'!A0", "'+46")


def test_parts_put_together_are_the_whole(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "EXPORT_PAGE", 7)
    drop, other = make_drop(stock=4 * 50), make_drop(stock=40)
    for number in range(10):
        more = MANY.replace("'crowd ", f"'crowd {number} ")
        database.connection.execute(more, {"drop": other if number == 4 else drop, "count": 4})
        database.connection.execute("update stock_stripes set available = 4 where stripe = 0")
    whole = client.get(f"/api/drops/{drop}/purchases.csv").text
    assert len(rows(whole)) == 36
    parts, address = [], f"/api/drops/{drop}/purchases.csv?limit=16"
    while address:
        answer = client.get(address)
        parts.append(answer.text)
        address = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert [part.count("\r\n") for part in parts] == [17, 16, 4]
    assert "".join(parts) == whole


def test_a_part_ends_before_it_is_too_long_for_a_platform(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    import api.admin

    monkeypatch.setattr(reports, "EXPORT_PAGE", 2)
    monkeypatch.setattr(api.admin, "PART_BYTES", 300)
    drop = make_drop(stock=4)
    for name in ("ann", "bob", "cid"):
        buy(name * 60, drop)
    first = client.get(f"/api/drops/{drop}/purchases.csv?limit=50")
    assert first.text.count("\r\n") == 1 + 2
    rest = client.get(first.headers["link"].partition(">")[0].removeprefix("<"))
    assert rest.text.count("\r\n") == 1 and "link" not in rest.headers


@pytest.mark.parametrize("query", ["limit=0", "limit=50001", "limit=x", "after=0", "after=x"])
def test_a_part_has_bounds(client: httpx2.Client, make_drop: MakeDrop, query: str) -> None:
    problem(client.get(f"/api/drops/{make_drop(1)}/purchases.csv?{query}"), 422, "validation_failed")


def test_a_host_of_short_answers_asks_for_parts(client: httpx2.Client, make_drop: MakeDrop, configure: Any) -> None:
    """Lambda keeps an answer whole, and takes 6 MB of it: a file that ends too soon would look like the whole."""
    drop = make_drop(2)
    buy("ann", drop)
    configure(AWS_LAMBDA_FUNCTION_NAME="holdfast", ADMIN_TOKEN="secret")
    admin = {"Authorization": "Bearer secret"}
    refused = problem(client.get(f"/api/drops/{drop}/purchases.csv", headers=admin), 422, "validation_failed")
    assert refused["errors"][0]["field"] == "limit"
    assert len(rows(client.get(f"/api/drops/{drop}/purchases.csv?limit=9", headers=admin).text)) == 1


def test_a_file_that_breaks_off_does_not_end_like_a_whole_one(
    client: httpx2.Client, make_drop: MakeDrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "EXPORT_PAGE", 1)
    drop = make_drop(3)
    for name in ("ann", "bob"):
        buy(name, drop)
    real = reports.oldest_sales

    def fails_later(drop_id: int, limit: int, after: int = 0) -> list[reports.Sale]:
        if after:
            raise errors.DatabaseUnavailable
        return real(drop_id, limit, after)

    monkeypatch.setattr(reports, "oldest_sales", fails_later)
    with pytest.raises(httpx2.RemoteProtocolError):
        client.get(f"/api/drops/{drop}/purchases.csv")
    # A part is whole or refused.
    problem(client.get(f"/api/drops/{drop}/purchases.csv?limit=2"), 503, "database_unavailable")


def test_a_long_file_takes_no_more_memory_than_a_page(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole has 20 pages; what a reader that forgets each page needs stays near what one page needs."""
    monkeypatch.setattr(reports, "EXPORT_PAGE", 200)
    drop = make_drop(stock=1_000_000)
    database.connection.execute(
        "update stock_stripes set available = 1000000 where drop_id = %s and stripe = 0", [drop]
    )
    database.connection.execute(MANY, {"drop": drop, "count": 20 * reports.EXPORT_PAGE})

    def peak(pages: int) -> int:
        export = reports.sales_by_page(drop)
        tracemalloc.start()
        for _ in range(pages):
            sales_csv.lines(next(export))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    one = peak(2)
    assert peak(20) < 1.5 * one
    with client.stream("GET", f"/api/drops/{drop}/purchases.csv") as answer:
        assert "content-length" not in answer.headers
        assert sum(chunk.count(b"\n") for chunk in answer.iter_bytes()) == 1 + 20 * reports.EXPORT_PAGE


def test_an_export_may_last_longer_than_a_request(make_drop: MakeDrop, configure: Any) -> None:
    """Each of its statements has a request's time; the rest of the request has one limit for all."""
    drop = make_drop(stock=3)
    for name in ("ann", "bob", "cid"):
        buy(name, drop)
    token = trace.current.set(trace.Trace("long ago", started=time.monotonic() - 3600))
    try:
        with pytest.raises(errors.Busy):
            reports.newest_sales(drop, 1)
        assert [len(page) for page in reports.sales_by_page(drop)] == [3]
    finally:
        trace.current.reset(token)


def test_an_export_holds_no_connection_between_its_pages(
    make_drop: MakeDrop, configure: Any, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    configure(DATABASE_POOL_MAX="1")
    monkeypatch.setattr(reports, "EXPORT_PAGE", 2)
    drop = make_drop(stock=5)
    bought = [buy(f"buyer {number}", drop) for number in range(5)]
    export = reports.sales_by_page(drop)
    found = [sale.id for sale in next(export)]
    assert reports.stats(drop).purchased == 5  # by the only connection that there may be
    running = "select count(*) from pg_stat_activity where datname = current_database() and state <> 'idle'"
    assert database.value(running) == 1  # the one that asks
    for page in export:
        found += [sale.id for sale in page]
    assert found == bought
