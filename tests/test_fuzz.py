"""What careless and hostile clients send. None of it may get a 5xx, and none of it may change what is sold.

`make fuzz` does the first of these with 20,000 requests and more.
"""

import asyncio
import copy
import json
import string
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.aws import Handler, Secrets, UnexpectedEvent, make_handler
from tests.fuzz.__main__ import fuzz
from tests.fuzz.wire import exchange, replies, request
from tests.support.api import JSON, unchanged
from tests.support.buyers import wait_until
from tests.support.database import Database
from tests.support.lambda_runtime import http_event
from tests.support.servers import Gateway

# The fixtures are the same for every example on purpose: one server, one database.
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
few = settings(max_examples=60, deadline=None, suppress_health_check=SHARED)
SCALARS = st.none() | st.booleans() | st.floats() | st.text()
ANY_JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
REFUSALS = {400, 404, 405, 409, 413, 422}


@pytest.mark.slow
@pytest.mark.xdist_group("heavy")
def test_requests_made_from_the_api_document_break_nothing() -> None:
    assert fuzz(max_examples=6, seed=1).problems == []


def one_of_each_plane() -> list[str]:
    """Text from every Unicode plane, and what SQL, JSON, HTML and terminals take for something else."""
    planes = ["".join(chr(plane * 0x10000 + offset) for offset in (0x41, 0x3042, 0x1F9F)) for plane in range(17)]
    tricks = [
        "'; drop table users; --",
        '"$$',
        "%s %(id)s {0}",
        "<script>alert(1)</script>",
        "\\' or 1=1",
        "\u202eabc",
        "\ufeff",
    ]
    return planes + tricks


@pytest.mark.parametrize("text", one_of_each_plane())
def test_text_of_every_plane_and_every_trick_is_kept_as_it_is(
    text: str, client: httpx2.Client, database: Database
) -> None:
    answer = client.post("/api/users", json={"username": text})
    assert answer.status_code == 201, answer.text
    assert answer.json()["user"]["username"] == text.strip()
    assert database.rows("select username from users") == [(text.strip(),)]


@few
@given(body=st.binary(max_size=300))
def test_random_bytes_as_json_are_refused_and_change_nothing(
    body: bytes, client: httpx2.Client, database: Database
) -> None:
    with unchanged(database):
        for path in ("/api/reserve/1", "/api/users"):
            assert client.post(path, content=body, headers=JSON).status_code in REFUSALS


@few
@given(value=ANY_JSON)
def test_json_of_any_shape_is_refused_where_it_is_no_request(
    value: Any, client: httpx2.Client, database: Database
) -> None:
    with unchanged(database):
        for path in ("/api/reserve/1", "/api/purchase/1", "/api/drops/1/restock"):
            body = json.dumps(value).encode("utf-8", "surrogatepass")
            assert client.post(path, content=body, headers=JSON).status_code in REFUSALS


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_json_as_deep_as_the_body_limit_allows_is_refused(opening: str, client: httpx2.Client) -> None:
    body = opening * (60_000 // len(opening))
    answer = client.post("/api/users", content=body, headers=JSON)
    assert answer.status_code in (400, 422), answer.text


@few
@given(query=st.text(string.printable, max_size=80), number=st.text(string.printable, min_size=1, max_size=40))
def test_paths_and_queries_of_any_kind_get_an_answer(query: str, number: str, client: httpx2.Client) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in number.encode())
    for path in (f"/api/drops/{quoted}", f"/api/reservations/{quoted}", f"/api/{quoted}", "/api/drops"):
        answer = client.get(path, params={"limit": query, query: number})
        assert answer.status_code in REFUSALS | {200, 308}, (path, answer.text)


@few
@given(name=st.binary(min_size=1, max_size=20), value=st.binary(max_size=60))
def test_headers_of_any_bytes_get_an_answer(name: bytes, value: bytes, gateway: Gateway, database: Database) -> None:
    wild = (name + b": " + value, b"X-Request-Id: " + value, b"If-None-Match: " + value, b"Authorization: " + value)
    raw = exchange(gateway.port, request("GET", "/api/drops", headers=wild))
    # Bytes that are no HTTP any more may be answered by closing.
    assert all(reply.status in REFUSALS | {200, 304, 308} for reply in replies(raw)), raw[:300]


def test_pipelined_requests_are_answered_each_in_order(gateway: Gateway, database: Database) -> None:
    pipeline = [
        request("GET", "/api/drops/1", close=False),
        request("POST", "/api/users", b'{"username": "pipelined"}', close=False),
        request("GET", "/api/nothing", close=True),
    ]
    assert [reply.status for reply in replies(exchange(gateway.port, b"".join(pipeline)))] == [404, 201, 404]
    assert database.rows("select username from users") == [("pipelined",)]


def test_what_a_client_sent_before_it_closed_its_sending_side_happens_once(
    gateway: Gateway, client: httpx2.Client, database: Database
) -> None:
    """Whether it still gets the answer is the server's affair: uvicorn takes it for gone."""
    whole = request("POST", "/api/users", b'{"username": "half closed"}')
    assert [reply.status for reply in replies(exchange(gateway.port, whole, half_close=True))] in ([], [201])
    wait_until(lambda: database.value("select count(*) from users") == 1, "the user is made")
    assert client.get("/api/health").status_code == 200


def test_a_body_that_never_comes_whole_changes_nothing(gateway: Gateway, database: Database) -> None:
    cut = request("POST", "/api/users", b'{"username": "cut off"}')[:-5]
    with unchanged(database):
        assert all(reply.status in REFUSALS for reply in replies(exchange(gateway.port, cut, half_close=True)))


def test_a_client_that_sends_byte_by_byte_is_served_and_holds_up_nobody(
    gateway: Gateway, client: httpx2.Client, database: Database
) -> None:
    whole = request("POST", "/api/users", b'{"username": "slow"}')
    pieces = [whole[at : at + 1] for at in range(len(whole))]
    served: list[int] = []

    def meanwhile() -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            if len(served) < 3:
                served.append(client.get("/api/health").status_code)

    (reply,) = replies(exchange(gateway.port, *meanwhile()))
    assert (reply.status, served) == (201, [200, 200, 200])


class Context:
    aws_request_id = "fuzz"

    def get_remaining_time_in_millis(self) -> int:
        return 10_000


@pytest.fixture
def handler(database: Database, configure: Callable[..., None]) -> Iterator[Handler]:
    """The Lambda handler of reserve, in this process, with the event loop that Mangum looks for."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield make_handler("api.reserve", Secrets())
    asyncio.set_event_loop(None)
    loop.close()


def paths_in(value: Any, here: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The way to each field of an event, however deep."""
    for key, item in value.items():
        yield (*here, key)
        if isinstance(item, dict):
            yield from paths_in(item, (*here, key))


TYPE = {"content-type": "application/json"}
EVENT = http_event("POST", "/api/reserve/1", '{"userId": 1}', query="size=M", headers=TYPE)
TEXTS = st.lists(st.text(max_size=5), max_size=3)
WILD = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | TEXTS | st.just({})


@few
@given(way=st.sampled_from(list(paths_in(EVENT))), value=WILD | st.just("missing"))
def test_a_mutated_lambda_event_is_answered_or_refused_as_none(
    way: tuple[str, ...], value: Any, handler: Handler
) -> None:
    event = copy.deepcopy(EVENT)
    place = event
    for key in way[:-1]:
        place = place[key]
    if value == "missing":
        del place[way[-1]]
    else:
        place[way[-1]] = value
    try:
        answer = handler(event, Context())
    except UnexpectedEvent:
        return
    assert answer["statusCode"] in REFUSALS, answer
