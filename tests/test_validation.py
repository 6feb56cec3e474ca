"""Every bound of the API at its edge: the last value that passes and the first that does not.

What is refused is answered with 422, says why, and leaves the database as it was. Values of one field share a test,
and so a database.
"""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.support.api import JSON, codes, problem, unchanged
from tests.support.database import Database

MakeDrop = Callable[..., int]
MakeUsers = Callable[[int], list[int]]

MAX_ID = 2**63 - 1
DROP: dict[str, Any] = {"name": "Runner", "price": 10, "totalStock": 3}
# Written as JSON, so that a value can be what Python's encoder would not write.
NO_INTEGERS = [
    "0.5",
    "1.0",
    "1e0",
    "true",
    "false",
    "null",
    '"1"',
    "[1]",
    "{}",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
]
NO_TEXT = ["1", "true", "null", "[]", "{}", '""', '"  "', r'"a\u0000b"', r'"a\u001bb"', r'"a\u0085b"', r'"\ud800"']


def sizes(*pairs: tuple[object, object]) -> str:
    return json.dumps([{"size": size, "stock": stock} for size, stock in pairs])


ACCEPTED = {
    "name": ['"x"', json.dumps("é" * 200), json.dumps(" " * 300 + "x"), '"👟 <script> %s"'],
    "price": ["0", "-0", "0.01", "9999999.99", "1e2", "10.50", '"19.99"', '" 5 "', "0.1"],
    "totalStock": ["1", "1000000"],
    "sizes": [
        sizes(("S", 1)),
        sizes(("S", 999_999), ("M", 1)),
        sizes(*((str(n), 1) for n in range(50))),
        sizes(("é" * 40, 1)),
        sizes(("s", 1), ("S", 1)),
    ],
    "currency": ['"EUR"', '"JPY"'],
    "imageUrl": ["null", '"https://shop.example/a.png?x=1"', '"/a.png"', json.dumps("/" + "a" * 1999)],
    "dropStartTime": [
        "null",
        '"2030-01-31T12:00:00Z"',
        '"2030-01-31T12:00:00.123456+05:30"',
        '"1970-01-01T00:00:00Z"',
        '"9998-12-31T23:59:59Z"',
    ],
    "dropEndTime": ["null", '"9998-12-31T23:59:59Z"'],
    "holdSeconds": ["1", "86400"],
    "maxPerUser": ["null", "1", "1000000"],
}
REFUSED = {
    "name": [*NO_TEXT, json.dumps("x" * 201)],
    "price": [
        *("-0.01", "0.001", "10000000", "9999999.991", "1e27", "1e300", "9" * 400, "1e400", "NaN", "Infinity"),
        *("true", "null", "[]", "{}", '""', '"abc"', '"5abc"', '"1e2"', '"NaN"', '"٣"', '"1,5"', '"-1"', r'"\ud800"'),
    ],
    "totalStock": [*NO_INTEGERS, "0", "-1", "1000001", "9" * 400],
    "sizes": [
        *("[]", "{}", '"S"', "1", "[1]", "[[]]", "[null]", '[{"size":"S"}]', '[{"stock":1}]'),
        '[{"size":"S","stock":1,"color":"red"}]',
        *(f'[{{"size":"S","stock":{value}}}]' for value in [*NO_INTEGERS, "0", "-1", "1000001"]),
        *(f'[{{"size":{value},"stock":1}}]' for value in [*NO_TEXT, json.dumps("x" * 41)]),
        sizes(("S", 1), ("S", 2)),
        sizes(("S", 1), (" S ", 2)),
        sizes(("S", 1_000_000), ("M", 1)),
        sizes(*((str(n), 1) for n in range(51))),
    ],
    "currency": ['"usd"', '"US"', '"USDT"', '"US1"', '"USD\\n"', '""', "null", "840"],
    "imageUrl": [
        *('""', "1", '"a.png"', '"javascript:alert(1)"', '"data:image/png;base64,x"', '"https://"', '"/"', '"/a b"'),
        *('"/a\\nb"', '"/é"', json.dumps("/" + "a" * 2000), '"http://shop.example/a.png"'),
        *('"//shop.example/a.png"', r'"/\\shop.example/a.png"'),
    ],
    "dropStartTime": [
        *(
            '""',
            '"now"',
            '"2030-01-31"',
            '"2030-01-31T12:00:00"',
            '"2030-02-30T12:00:00Z"',
            '"12:00:00Z"',
            "1893456000",
        ),
        *(
            "true",
            "[]",
            '"1893456000"',
            '"1969-12-31T23:59:59Z"',
            '"9999-01-01T00:00:00Z"',
            '"0001-01-01T00:00:00+10:00"',
        ),
    ],
    "dropEndTime": ['""', '"2030-01-31"', "1893456000", '"2001-01-01T00:00:00Z"', '"9999-12-31T23:59:59-10:00"'],
    "holdSeconds": [*NO_INTEGERS, "0", "-1", "86401", "9" * 400],
    "maxPerUser": [*(value for value in NO_INTEGERS if value != "null"), "0", "-1", "9" * 400],
}


def drop_with(field: str, value: str) -> bytes:
    """A good new drop but for one field, whose value is written as it is."""
    rest = {key: good for key, good in DROP.items() if key != field and (key, field) != ("totalStock", "sizes")}
    return f'{{{json.dumps(rest)[1:-1]},"{field}":{value}}}'.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("field", ACCEPTED)
def test_a_new_drop_takes_each_value_within_the_bounds(client: httpx2.Client, database: Database, field: str) -> None:
    answers = {
        value: client.post("/api/drops", content=drop_with(field, value), headers=JSON) for value in ACCEPTED[field]
    }
    assert {value: answer.text for value, answer in answers.items() if answer.status_code != 201} == {}
    assert database.value("select count(*) from drops") == len(ACCEPTED[field])
    database.assert_conserved()


@pytest.mark.parametrize("field", REFUSED)
def test_a_new_drop_refuses_each_value_beyond_the_bounds_and_names_the_field(
    client: httpx2.Client, database: Database, field: str
) -> None:
    with unchanged(database):
        answers = {
            value: client.post("/api/drops", content=drop_with(field, value), headers=JSON) for value in REFUSED[field]
        }
    for value, answer in answers.items():
        assert answer.status_code == 422, (field, value, answer.text)
        assert field in problem(answer, 422, "validation_failed")["detail"], (value, answer.text)


CHANGEABLE = ("name", "price", "imageUrl", "dropStartTime", "dropEndTime", "maxPerUser", "holdSeconds")


@pytest.mark.parametrize("field", CHANGEABLE)
def test_a_change_has_the_bounds_of_a_new_drop(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, field: str
) -> None:
    path = f"/api/drops/{make_drop(1)}"
    refused = [*REFUSED[field], *(["null"] if field == "dropStartTime" else [])]
    with unchanged(database):
        answers = [client.patch(path, content=f'{{"{field}":{value}}}'.encode(), headers=JSON) for value in refused]
    assert codes(answers) == ["validation_failed"] * len(refused)
    for value in ACCEPTED[field]:
        if (field, value) != ("dropStartTime", "null"):
            assert client.patch(path, content=f'{{"{field}":{value}}}'.encode(), headers=JSON).status_code == 200, value


CONTRADICTING = [
    *({**DROP, field: 1} for field in ("id", "availableStock", "total_stock", "state", "__proto__", "Name", "body")),
    {**DROP, "sizes": [{"size": "S", "stock": 1}]},
    {"name": "x", "price": 1},
    {"name": "x", "price": 1, "totalStock": None, "sizes": None},
    {"price": 1, "totalStock": 1},
    {**DROP, "dropStartTime": "2030-01-01T00:00:00Z", "dropEndTime": "2030-01-01T00:00:00Z"},
    {**DROP, "dropStartTime": "2030-01-01T00:00:00Z", "dropEndTime": "2030-01-01T01:59:59+02:00"},
]


def test_a_new_drop_refuses_unknown_missing_and_contradicting_fields(client: httpx2.Client, database: Database) -> None:
    with unchanged(database):
        answers = [client.post("/api/drops", json=body) for body in CONTRADICTING]
    assert codes(answers) == ["validation_failed"] * len(CONTRADICTING)


def test_an_unknown_field_is_named_as_it_was_sent(client: httpx2.Client, database: Database) -> None:
    answer = client.post("/api/reserve/1", json={"user_id": 1, "body": 2})
    named = [entry["field"] for entry in problem(answer, 422, "validation_failed")["errors"]]
    assert named == ["user_id", "body"]


def test_a_restock_moves_whole_units(client: httpx2.Client, database: Database, make_drop: MakeDrop) -> None:
    path = f"/api/drops/{make_drop(1)}/restock"
    values = [*NO_INTEGERS, "0", "-1000001", "1000001", "9" * 400]
    with unchanged(database):
        answers = [client.post(path, content=f'{{"quantity":{value}}}'.encode(), headers=JSON) for value in values]
    assert codes(answers) == ["validation_failed"] * len(values)


def test_a_drop_cannot_be_restocked_beyond_a_million(
    client: httpx2.Client, database: Database, make_drop: MakeDrop
) -> None:
    path = f"/api/drops/{make_drop(1)}/restock"
    assert client.post(path, json={"quantity": 999_999}).json()["drop"]["totalStock"] == 1_000_000
    with unchanged(database):
        problem(client.post(path, json={"quantity": 1}), 422, "validation_failed")


@pytest.mark.parametrize("route", ["/api/reserve/1", "/api/purchase/1"])
def test_a_buyer_is_an_integer(client: httpx2.Client, database: Database, make_drop: MakeDrop, route: str) -> None:
    make_drop(1)
    values = [*NO_INTEGERS, "0", "-1", str(MAX_ID + 1), "9" * 400]
    with unchanged(database):
        answers = [client.post(route, content=f'{{"userId":{value}}}'.encode(), headers=JSON) for value in values]
        answers.append(client.post(route, json={}))
    assert codes(answers) == ["validation_failed"] * len(answers)


def test_a_wanted_size_is_text(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    make_drop(1)
    make_users(1)
    values = ["1", "true", "[]", "{}", r'"\u0000"', r'"\ud800"', json.dumps("x" * 201)]
    with unchanged(database):
        bodies = [f'{{"userId":1,"size":{value}}}'.encode() for value in values]
        answers = [client.post("/api/reserve/1", content=body, headers=JSON) for body in bodies]
    assert codes(answers) == ["validation_failed"] * len(values)


def test_a_username_has_the_bounds_of_a_name(client: httpx2.Client, database: Database) -> None:
    values = [*NO_TEXT, json.dumps("x" * 201)]
    with unchanged(database):
        answers = [
            client.post("/api/users", content=f'{{"username":{value}}}'.encode(), headers=JSON) for value in values
        ]
        answers.append(client.post("/api/users", json={}))
        answers.append(client.post("/api/users", json={"username": "ada", "admin": True}))
    assert codes(answers) == ["validation_failed"] * len(answers)
