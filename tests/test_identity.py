"""Whose a token is: one user for a subject, with a name of its own, who acts on nothing but what is theirs."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from lib import db, identities, inventory
from tests.support.api import problem, unchanged
from tests.support.buyers import CROWD, Session, all_at_once, connect_crowd, in_background, sessions, wait_until_blocked
from tests.support.database import Database
from tests.support.issuer import ISSUER, Issuer, bearer

Configure = Callable[..., None]
MakeDrop = Callable[..., int]

USERS = "select id, username from users order by id"


def reserve(client: httpx2.Client, token: str, body: Any = None, drop_id: int = 1) -> httpx2.Response:
    return client.post(f"/api/reserve/{drop_id}", json=body or {}, headers=bearer(token))


def hold(client: httpx2.Client, token: str) -> int:
    answer = reserve(client, token)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["reservation"]["id"])


def test_a_buyer_buys_as_whoever_the_token_says(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop
) -> None:
    make_drop(2)
    token = issuer.token(preferred_username="ada")
    held = hold(client, token)
    assert client.get(f"/api/reservations/{held}", headers=bearer(token)).status_code == 200
    bought = client.post(f"/api/purchase/{held}", json={}, headers=bearer(token))
    assert (bought.status_code, bought.json()["purchase"]["userId"]) == (201, 1)
    assert database.rows(USERS) == [(1, "ada")]
    assert database.rows("select issuer, subject, user_id from identities") == [(ISSUER, "alice", 1)]
    given_back = hold(client, token)
    answer = client.request("DELETE", f"/api/reservations/{given_back}", headers=bearer(token))
    assert answer.json()["reservation"]["status"] == "RELEASED"


def test_anothers_userid_is_forbidden_and_ones_own_is_not(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop
) -> None:
    make_drop(2)
    alice, bob = issuer.token("alice"), issuer.token("bob")
    held = hold(client, alice)
    reserve(client, bob)
    path = f"/api/reservations/{held}"
    with unchanged(database):
        for other in (2, 99):
            answers = [
                reserve(client, alice, {"userId": other}),
                client.post(f"/api/purchase/{held}", json={"userId": other}, headers=bearer(alice)),
                client.get(path, params={"userId": other}, headers=bearer(alice)),
                client.request("DELETE", path, json={"userId": other}, headers=bearer(alice)),
                client.request("DELETE", path, params={"userId": other}, headers=bearer(alice)),
            ]
            for answer in answers:
                problem(answer, 403, "forbidden")
    assert client.post(f"/api/purchase/{held}", json={"userId": 1}, headers=bearer(alice)).status_code == 201


def test_a_buyer_sees_and_touches_nobody_elses_hold(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop
) -> None:
    make_drop(1)
    path = f"/api/reservations/{hold(client, issuer.token('alice'))}"
    bob = bearer(issuer.token("bob"))
    client.get(path, headers=bob)  # makes bob's user
    with unchanged(database):
        for answer in (
            client.get(path, headers=bob),
            client.request("DELETE", path, headers=bob),
            client.post(path.replace("reservations", "purchase"), json={}, headers=bob),
        ):
            problem(answer, 403, "not_owner")


def test_a_subject_is_one_user_however_many_calls_see_it_first(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop, configure: Configure
) -> None:
    make_drop(20)
    configure(**CROWD)
    token = issuer.token(username="ada")
    answers = all_at_once([lambda: reserve(client, token)] * 16)
    assert {answer.json()["reservation"]["userId"] for answer in answers} == {1}
    assert database.rows(USERS) == [(1, "ada")]
    assert database.statuses(1) == {"ACTIVE": 1}


def test_many_subjects_of_one_name_and_many_calls_of_each_make_one_user_a_subject(
    database: Database, configure: Configure
) -> None:
    configure(**CROWD)
    connect_crowd(32)

    def first_sight(number: int) -> Callable[[], int]:
        return lambda: identities.user_id_of.__wrapped__(ISSUER, f"subject {number}", "sam")

    ids = all_at_once([first_sight(number % 4) for number in range(32)])
    assert [ids[number] for number in range(4)] * 8 == ids and len(set(ids)) == 4
    names = [name for _, name in database.rows(USERS)]
    assert len(set(names)) == 4 and "sam" in names and all(name[:3] == "sam" for name in names)


def test_who_sees_a_subject_second_waits_for_the_first_and_gets_the_same_user(database: Database) -> None:
    call = "select user_for_subject(%s, %s, %s)"
    with sessions(database, 2) as (first, second):
        first.begin()
        (made,) = first.row(call, ISSUER, "alice", "ada")
        waiting = in_background(lambda: second.row(call, ISSUER, "alice", "ada"))
        wait_until_blocked(database, second, first)
        first.commit()
        assert waiting.result(10) == (made,)
    assert database.rows(USERS) == [(made, "ada")]


def test_if_the_first_fails_the_second_makes_the_user(database: Database) -> None:
    call = "select user_for_subject(%s, %s, %s)"

    def run(first: Session, second: Session) -> int:
        first.begin()
        first.row(call, ISSUER, "alice", "ada")
        waiting = in_background(lambda: second.row(call, ISSUER, "alice", "ada"))
        wait_until_blocked(database, second, first)
        first.rollback()
        return int(waiting.result(10)[0])

    with sessions(database, 2) as (first, second):
        made = run(first, second)
    assert database.rows(USERS) == [(made, "ada")]


def test_the_same_subject_of_another_issuer_is_somebody_else(
    client: httpx2.Client, issuer: Issuer, make_drop: MakeDrop, configure: Configure
) -> None:
    make_drop(2)
    first = reserve(client, issuer.token()).json()["reservation"]["userId"]
    configure(AUTH_ISSUER="https://other.example")
    second = reserve(client, issuer.token(iss="https://other.example")).json()["reservation"]["userId"]
    assert first != second


def test_a_known_buyer_costs_no_further_round_trip(
    client: httpx2.Client, issuer: Issuer, make_drop: MakeDrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_drop(1)
    held = hold(client, issuer.token())
    calls: list[str] = []
    real = db.fetch_all
    monkeypatch.setattr(db, "fetch_all", lambda row, query, *more: calls.append(query) or real(row, query, *more))
    client.get(f"/api/reservations/{held}", headers=bearer(issuer.token()))
    reserve(client, issuer.token())
    assert not [query for query in calls if "user_for_subject" in query]
    reserve(client, issuer.token("bob"))
    assert len([query for query in calls if "user_for_subject" in query]) == 1


def test_a_process_remembers_a_bounded_number_of_buyers() -> None:
    assert identities.user_id_of.cache_parameters()["maxsize"] == identities.REMEMBERED_BUYERS


# AUTH_USERNAME_CLAIM, what a token says, and the name that comes of it.
NAMES: list[tuple[str | None, dict[str, Any], str]] = [
    (None, {"preferred_username": "ada", "username": "b", "nickname": "c"}, "ada"),
    (None, {"preferred_username": 7, "username": " ", "nickname": "bob"}, "bob"),
    (None, {"username": "  c\x00a\x1br\ud800ol "}, "carol"),
    (None, {"username": "é" * 300}, "é" * 200),
    ("name", {"name": "Ada L.", "username": "d"}, "Ada L."),
    ("user_metadata.handle", {"user_metadata": {"handle": "eve"}}, "eve"),
    ("user_metadata.handle", {"user_metadata": "x", "username": "faye"}, "faye"),
    ("https://shop.example/name", {"https://shop.example/name": "gus"}, "gus"),
]


def test_the_username_is_what_the_claims_say(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop, configure: Configure
) -> None:
    make_drop(len(NAMES))
    for number, (setting, said, _) in enumerate(NAMES):
        configure(AUTH_USERNAME_CLAIM=setting)
        hold(client, issuer.token(f"subject {number}", **said))
    assert [name for _, name in database.rows(USERS)] == [name for *_, name in NAMES]


def test_neither_mail_address_nor_full_name_is_shown_unless_the_shop_says_so(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop
) -> None:
    make_drop(1)
    hold(client, issuer.token(email="ada@example.com", name="Ada Lovelace"))
    ((_, username),) = database.rows(USERS)
    assert username.startswith("buyer-") and len(username) == 14


def test_a_taken_username_gets_a_suffix_within_the_bound(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop
) -> None:
    make_drop(5)
    for number in range(3):
        hold(client, issuer.token(f"subject {number}", username="x" * 200))
    names = [name for _, name in database.rows(USERS)]
    assert len(set(names)) == 3 and all(name.startswith("x" * 191) and len(name) <= 200 for name in names)


def test_a_user_made_by_name_is_nobodys_who_claims_that_name(
    client: httpx2.Client, database: Database, issuer: Issuer, make_drop: MakeDrop
) -> None:
    make_drop(2)
    own = inventory.create_user("ada")[0].id
    assert reserve(client, issuer.token(username="ada")).json()["reservation"]["userId"] != own
