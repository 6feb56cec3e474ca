"""Ids in paths, and what comes in a query: digits within their bounds, and a clear refusal of everything else."""

import httpx2
import pytest

from tests.support.api import codes, problem
from tests.support.database import Database

MAX_ID = 2**63 - 1
NO_IDS = [
    "0",
    "-1",
    "+1",
    "1.0",
    "1e3",
    "1_0",
    "abc",
    "%20",
    "1%20",
    "%00",
    "%ff",
    "%D9%A1",
    str(MAX_ID + 1),
    "9" * 3000,
]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/drops/{id}"),
        ("PATCH", "/api/drops/{id}"),
        ("POST", "/api/drops/{id}/restock"),
        ("GET", "/api/drops/{id}/stats"),
        ("GET", "/api/drops/{id}/history"),
        ("GET", "/api/drops/{id}/holds"),
        ("GET", "/api/drops/{id}/purchases"),
        ("GET", "/api/drops/{id}/purchases.csv"),
        ("POST", "/api/reserve/{id}"),
        ("POST", "/api/purchase/{id}"),
        ("GET", "/api/reservations/{id}?userId=1"),
        ("GET", "/api/reservations/1?userId={id}"),
        ("DELETE", "/api/reservations/{id}?userId=1"),
    ],
)
def test_an_id_is_a_whole_number_up_to_two_to_the_63_less_one(
    client: httpx2.Client, database: Database, method: str, path: str
) -> None:
    body = None if method in ("GET", "DELETE") else {"quantity": 1} if "restock" in path else {}
    answers = [client.request(method, path.format(id=value), json=body) for value in NO_IDS]
    assert codes(answers) == ["validation_failed"] * len(NO_IDS)


def test_the_largest_id_is_looked_up(client: httpx2.Client, database: Database) -> None:
    problem(client.get(f"/api/drops/{MAX_ID}"), 404, "drop_not_found")
    problem(client.post(f"/api/purchase/{MAX_ID}", json={"userId": MAX_ID}), 404, "reservation_not_found")


@pytest.mark.parametrize("path", ["/api/drops", "/api/users", "/api/admin/drops"])
def test_a_page_has_bounds(client: httpx2.Client, database: Database, path: str) -> None:
    bad = [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=1.0",
        "limit=",
        "limit=abc",
        "limit=%2B1",
        "limit=9" + "9" * 5000,
    ]
    bad += ["after=-1", "after=x", f"after={MAX_ID + 1}"]
    answers = [client.get(f"{path}?{query}") for query in bad]
    assert codes(answers) == ["validation_failed"] * len(bad)
    nothing = {"/api/drops": [], "/api/users": {"users": []}, "/api/admin/drops": {"drops": []}}
    assert client.get(f"{path}?limit=100&after={MAX_ID}").json() == nothing[path]


def test_a_list_that_does_not_exist_is_refused(client: httpx2.Client, database: Database) -> None:
    values = ["", "LIVE", "open", "live,all", "%00", "%ff", "'; drop table drops; --"]
    answers = [client.get(f"/api/drops?status={value}") for value in values]
    assert codes(answers) == ["validation_failed"] * len(values)
