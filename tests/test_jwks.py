"""The identity provider's keys: fetched once, followed when they change, and nobody suffers from another's trouble."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace

import httpx2
import pytest

from lib import jwks
from lib.errors import IssuerUnavailable
from lib.jwks import KeySet, UnknownKey
from tests.support.api import problem
from tests.support.buyers import all_at_once, in_background, wait_until
from tests.support.issuer import Issuer, bearer, refuse, running_issuer


@pytest.fixture
def provider() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
def keys(provider: Issuer) -> KeySet:
    return KeySet(provider.url)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """later(60): a minute passes, as far as the keys can tell."""
    passed = 0.0
    real = time.monotonic

    def move(seconds: float) -> None:
        nonlocal passed
        passed += seconds
        monkeypatch.setattr(jwks, "time", SimpleNamespace(monotonic=lambda: real() + passed))

    return move


def settled(keys: KeySet) -> None:
    """Wait until no fetch is under way."""
    wait_until(lambda: keys._under_way is None, "the fetch ends")


def hanging(release: threading.Event) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        release.wait(30)
        handler.send_error(503)

    return answer


def test_keys_are_fetched_once_for_all_who_ask(provider: Issuer, keys: KeySet) -> None:
    found = all_at_once([lambda: keys.key("rsa")] * 16)
    assert len({id(key) for key in found}) == 1 and provider.asked == 1
    assert keys.key("ec").algorithm_name == "ES256" and provider.asked == 1


def test_a_fetch_that_ends_between_look_and_fetch_counts(keys: KeySet, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = keys._fetch

    def after_anothers() -> threading.Event | None:
        under_way = fetch()
        assert under_way is not None and under_way.wait(10)
        return fetch()

    monkeypatch.setattr(keys, "_fetch", after_anothers)
    assert keys.key("rsa").key_id == "rsa"


def test_a_new_key_is_found_at_its_first_use(provider: Issuer, keys: KeySet, later: Callable[[float], None]) -> None:
    keys.key("rsa")
    provider.published.append("rsa-2")
    later(jwks.COOLDOWN_SECONDS)
    assert keys.key("rsa-2").key_id == "rsa-2" and provider.asked == 2


def test_a_withdrawn_key_stops_working_after_the_lifespan(
    provider: Issuer, keys: KeySet, later: Callable[[float], None]
) -> None:
    keys.key("rsa")
    provider.published.remove("rsa")
    later(jwks.LIFESPAN_SECONDS - 10)
    assert keys.key("rsa").key_id == "rsa" and provider.asked == 1
    later(20)
    keys.key("rsa")  # starts the fetch, and is not kept waiting by it
    settled(keys)
    with pytest.raises(UnknownKey):
        keys.key("rsa")


def test_any_number_of_unknown_keys_costs_the_provider_one_request_in_ten_seconds(
    provider: Issuer, keys: KeySet, later: Callable[[float], None]
) -> None:
    keys.key("rsa")
    later(jwks.COOLDOWN_SECONDS)

    def ask(kid: str) -> Callable[[], object]:
        return lambda: keys.key(kid)

    for number in range(3):
        answers = all_at_once([ask(f"garbage-{number}-{n}") for n in range(32)])
        assert {type(answer) for answer in answers} <= {UnknownKey, IssuerUnavailable}
    assert provider.asked == 2
    for number in range(100):
        with pytest.raises(UnknownKey):
            keys.key(f"more-garbage-{number}")
    assert provider.asked == 2
    later(jwks.COOLDOWN_SECONDS)
    with pytest.raises(UnknownKey):
        keys.key("garbage")
    assert provider.asked == 3


@pytest.mark.parametrize("status", [404, 429, 500, 302])
def test_while_the_provider_fails_known_keys_go_on_and_unknown_ones_are_told_to_come_again(
    provider: Issuer, keys: KeySet, later: Callable[[float], None], status: int
) -> None:
    keys.key("rsa")
    provider.answer = refuse(status)
    later(jwks.LIFESPAN_SECONDS + 1)
    for _ in range(3):
        assert keys.key("rsa").key_id == "rsa"
        settled(keys)
        with pytest.raises(IssuerUnavailable):
            keys.key("new")
    assert provider.asked == 2
    provider.answer = None
    later(jwks.RETRY_SECONDS)
    with pytest.raises(UnknownKey):
        keys.key("new")


def test_after_a_day_without_the_provider_no_key_is_good_any_more(
    provider: Issuer, keys: KeySet, later: Callable[[float], None]
) -> None:
    keys.key("rsa")
    provider.answer = refuse(500)
    later(jwks.MAX_STALE_SECONDS)
    with pytest.raises(IssuerUnavailable):
        keys.key("rsa")
    provider.answer = None
    later(jwks.RETRY_SECONDS)
    assert keys.key("rsa").key_id == "rsa"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"keys": []}', b'{"keys": "x"}', b'{"keys": [{"kid": "rsa"}]}']
)
def test_an_answer_without_keys_takes_none_away(
    provider: Issuer, keys: KeySet, later: Callable[[float], None], body: bytes
) -> None:
    keys.key("rsa")
    provider.document = lambda: body
    later(jwks.LIFESPAN_SECONDS + 1)
    keys.key("rsa")
    settled(keys)
    assert provider.asked == 2 and keys.key("rsa").key_id == "rsa"


def test_a_silent_provider_holds_up_known_keys_not_at_all_and_others_for_its_time_limit(
    provider: Issuer, keys: KeySet, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.key("rsa")
    release = threading.Event()
    provider.answer = hanging(release)
    later(jwks.COOLDOWN_SECONDS)
    # Without a time limit of its own the wait would not end before the provider does.
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_SECONDS", 0.05)
    with pytest.raises(IssuerUnavailable):
        keys.key("new")
    assert keys._under_way is not None and keys.key("rsa").key_id == "rsa"
    release.set()


def test_a_silent_provider_ties_up_a_bounded_number_of_threads(
    provider: Issuer, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long that nothing here ends because the fetch has.
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_SECONDS", 30.0)
    keys = KeySet(provider.url)
    keys.key("rsa")
    release = threading.Event()
    provider.answer = hanging(release)
    later(jwks.COOLDOWN_SECONDS)
    waiting = [in_background(lambda: keys.key("new")) for _ in range(jwks.MAX_WAITING)]
    wait_until(lambda: keys._waiting._value == 0, "all places are taken")
    with pytest.raises(IssuerUnavailable):
        keys.key("new")
    assert keys._under_way is not None, "who finds no place is refused at once, and not when the fetch has ended"
    assert not any(future.done() for future in waiting)
    release.set()
    assert {type(future.exception(30)) for future in waiting} == {IssuerUnavailable}


def test_a_buyer_is_told_to_come_again_while_the_keys_cannot_be_had(client: httpx2.Client, issuer: Issuer) -> None:
    issuer.answer = refuse(500)
    answer = client.post("/api/reserve/1", json={}, headers=bearer(issuer.token()))
    problem(answer, 503, "issuer_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
