"""Clients of the system that Holdfast replaces go on working: their calls as typed, their fields as they read them."""

import json
import shlex
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx2
import pytest

from dev.seed import seed
from tests.support.database import Database
from tests.support.servers import Gateway

# As the original documents them, but for the port.
_JSON = '-H "Content-Type: application/json" -d'
CREATE = (
    f"curl -X POST http://localhost:4000/api/drops {_JSON} "
    """'{"name":"Air Jordan 1 High OG","price":200,"totalStock":100}'"""
)
LIST = "curl http://localhost:4000/api/drops"
RESERVE = f"""curl -X POST http://localhost:4000/api/reserve/1 {_JSON} '{{"userId":1}}'"""
PURCHASE = f"""curl -X POST http://localhost:4000/api/purchase/1 {_JSON} '{{"userId":1}}'"""

Curl = Callable[[str], tuple[int, object]]


@pytest.fixture
def curl(gateway: Gateway, database: Database) -> Curl:
    """curl(command): the bytes that curl sends for it, from a socket; the status and the JSON of the answer."""

    def run(command: str) -> tuple[int, object]:
        method, data, headers, url = "GET", "", [], ""
        words = iter(shlex.split(command)[1:])
        for word in words:
            if word == "-X":
                method = next(words)
            elif word == "-H":
                headers.append(next(words))
            elif word == "-d":
                data = next(words)
                headers.append(f"Content-Length: {len(data)}")
            else:
                url = word
        address = urlsplit(url)
        lines = [
            f"{method} {address.path} HTTP/1.1",
            f"Host: {address.netloc}",
            "User-Agent: curl/8.14.1",
            "Accept: */*",
        ]
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
            connection.sendall("\r\n".join([*lines, *headers, "", data]).encode())
            head, body = _read_answer(connection)
        return int(head.split(" ")[1]), json.loads(body)

    return run


def _read_answer(connection: socket.socket) -> tuple[str, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(65536)
    return head.decode(), body


def test_the_four_calls_work_as_typed_on_a_fresh_development_database(curl: Curl, database: Database) -> None:
    seed()
    assert [curl(call)[0] for call in (CREATE, LIST, RESERVE, PURCHASE)] == [201, 200, 201, 201]
    assert database.rows("select reservation_id, user_id, drop_id from purchases") == [(1, 1, 1)]
    database.assert_conserved()


def test_the_four_calls_work_where_the_first_one_makes_drop_1(
    curl: Curl, database: Database, make_users: Callable[[int], list[int]]
) -> None:
    assert make_users(1) == [1]
    assert [curl(call)[0] for call in (CREATE, LIST, RESERVE, PURCHASE)] == [201, 200, 201, 201]
    assert database.stock(1) == (99, 0, 1)


def test_a_created_drop_comes_back_under_drop_beside_a_message(curl: Curl) -> None:
    _, answer = curl(CREATE)
    assert isinstance(answer, dict) and isinstance(answer["message"], str)
    assert answer["drop"]["name"] == "Air Jordan 1 High OG"
    assert (answer["drop"]["price"], answer["drop"]["totalStock"], answer["drop"]["availableStock"]) == (200, 100, 100)


def test_the_list_is_an_array_with_every_field_the_client_reads(
    curl: Curl, make_users: Callable[[int], list[int]]
) -> None:
    make_users(1)
    for call in (CREATE, RESERVE, PURCHASE):
        curl(call)
    _, answer = curl(LIST)
    assert isinstance(answer, list) and len(answer) == 1
    drop = answer[0]
    read = {name: drop[name] for name in ("id", "name", "price", "availableStock", "totalStock")}
    assert read == {"id": 1, "name": "Air Jordan 1 High OG", "price": 200, "availableStock": 99, "totalStock": 100}
    assert not isinstance(drop["price"], str | bool)
    assert datetime.fromisoformat(drop["dropStartTime"]) < datetime.now(UTC)
    (purchase,) = drop["recentPurchases"]
    assert isinstance(purchase["username"], str)
    assert datetime.fromisoformat(purchase["timestamp"]).tzinfo is not None


def test_one_drop_has_the_fields_of_the_list(client: httpx2.Client, curl: Curl) -> None:
    curl(CREATE)
    assert client.get("/api/drops/1").json() == client.get("/api/drops").json()[0]


def test_a_reservation_has_its_deadline_under_both_names(curl: Curl, make_users: Callable[[int], list[int]]) -> None:
    make_users(1)
    curl(CREATE)
    before = datetime.now(UTC).timestamp()
    _, answer = curl(RESERVE)
    assert isinstance(answer, dict) and isinstance(answer["message"], str)
    reservation = answer["reservation"]
    assert (reservation["id"], reservation["status"]) == (1, "ACTIVE")
    assert reservation["expires_at"] == answer["expiresAt"]
    assert 59 < datetime.fromisoformat(answer["expiresAt"]).timestamp() - before < 75  # a minute, on a busy machine


def test_a_purchase_comes_with_its_drop(curl: Curl, make_users: Callable[[int], list[int]]) -> None:
    make_users(1)
    for call in (CREATE, RESERVE):
        curl(call)
    _, answer = curl(PURCHASE)
    assert isinstance(answer, dict) and isinstance(answer["message"], str)
    assert {name: answer["purchase"][name] for name in ("id", "userId", "dropId")} == {
        "id": 1,
        "userId": 1,
        "dropId": 1,
    }
    assert (answer["drop"]["id"], answer["drop"]["availableStock"]) == (1, 99)


def test_users_are_made_and_listed_as_the_client_expects(client: httpx2.Client) -> None:
    made = client.post("/api/users", json={"username": "ada"})
    assert (made.status_code, made.json()["user"]) == (201, {"id": 1, "username": "ada"})
    listed = client.get("/api/users")
    assert (listed.status_code, listed.json()["users"]) == (200, [{"id": 1, "username": "ada"}])


def test_health_answers(client: httpx2.Client) -> None:
    assert client.get("/api/health").status_code == 200


def test_a_browser_of_any_origin_may_call_in_development(client: httpx2.Client) -> None:
    answer = client.get("/api/drops", headers={"Origin": "http://localhost:5173"})
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/drops/99", None, 404),
        ("POST", "/api/drops", {"name": "x", "price": "abc", "totalStock": 1}, 422),
        ("POST", "/api/drops", {}, 422),
        ("POST", "/api/reserve/99", {"userId": 1}, 404),
        ("POST", "/api/reserve/1", {}, 422),
        ("POST", "/api/purchase/99", {"userId": 1}, 404),
        ("POST", "/api/users", {"username": ""}, 422),
        ("GET", "/api/nothing", None, 404),
    ],
)
def test_every_failure_has_a_string_at_error(
    client: httpx2.Client, method: str, path: str, body: object, status: int
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str) and answer.json()["error"]
