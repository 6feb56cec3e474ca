"""The storefront where AUTH_MODE is jwt: buyers sign in with a provider, by the README's own identity.js.

The provider's library is a stand-in with the same calls, since the real one needs an account. Its tokens are signed,
and what the shop does with them is real.
"""

import json

import pytest
from playwright.sync_api import expect

from tests.support.browser import PHONE, Window, browser, open_window
from tests.support.page_audit import axe_violations
from tests.test_readme_clients import block

__all__ = ["browser", "open_window"]

pytestmark = pytest.mark.xdist_group("browser")

BUYERS = """select subject, username from purchases join users on users.id = purchases.user_id
    join identities on identities.user_id = users.id"""
LIBRARY = """
const tokens = TOKENS;
const state = () => JSON.parse(localStorage.signedIn ?? 'null');
export const createAuth0Client = async () => ({
  getUser: async () => state(),
  loginWithPopup: async () => {
    if (window.turnedAway) throw new Error('closed');
    localStorage.signedIn = JSON.stringify(window.nextUser ?? { sub: 'alice', nickname: 'Alice' });
  },
  logout: async () => { delete localStorage.signedIn; },
  getTokenSilently: async ({ cacheMode }) => {
    if (!state()) throw new Error('login_required');
    return tokens[state().sub][cacheMode];
  },
});
"""


@pytest.fixture
def drop(make_drop):
    return make_drop(stock=2, max_per_user=1)


@pytest.fixture
def window(channel, issuer, drop, open_window):
    """Nobody is signed in yet. The token that the library has kept is an old one."""
    tokens = {
        who: {"on": issuer.token(who, exp=1_000_000_000), "off": issuer.token(who, preferred_username=who.title())}
        for who in ("alice", "bob")
    }
    window = open_window(go=False, viewport=PHONE)
    serve(window, "/storefront/identity.js", block("js identity"))
    serve(window, "/vendor/auth0-spa-js.production.esm.js", LIBRARY.replace("TOKENS", json.dumps(tokens)))
    return window.allow(401, "/api/").open()


def serve(window: Window, path: str, script: str) -> None:
    window.page.route(f"**{path}", lambda route: route.fulfill(body=script, content_type="text/javascript"))


def account(window: Window):
    return window.page.get_by_test_id("user")


def sign_out(window: Window) -> None:
    account(window).click()
    window.page.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    expect(account(window)).to_have_text("Sign in")


def test_a_tap_on_reserve_signs_in_and_holds_with_a_token_that_is_renewed(window, drop, database):
    card = window.card(drop)
    expect(account(window)).to_have_text("Sign in")
    card["reserve"].click()
    expect(card["hold"]).to_be_visible()
    expect(account(window)).to_have_text("Alice")
    card["purchase"].click()
    expect(card["receipt"]).to_be_visible()
    assert database.rows(BUYERS) == [("alice", "Alice")]


def test_who_turns_away_holds_nothing_and_is_told_nothing(window, drop, database):
    window.page.evaluate("window.turnedAway = true")
    window.card(drop)["reserve"].click()
    window.page.evaluate("window.turnedAway = false")
    window.card(drop).expect_armed()
    assert database.stock(drop) == (2, 0, 0)
    window.card(drop)["reserve"].click()
    expect(window.card(drop)["hold"]).to_be_visible()


def test_a_reload_knows_who_is_signed_in_and_what_they_hold(window, drop):
    window.card(drop)["reserve"].click()
    expect(window.card(drop)["hold"]).to_be_visible()
    window.page.reload()
    expect(account(window)).to_have_text("Alice")
    expect(window.card(drop)["hold"]).to_contain_text("One unit is held for you")


def test_one_buyers_hold_is_not_shown_to_the_next_who_signs_in(window, drop, database):
    window.card(drop)["reserve"].click()
    expect(window.card(drop)["hold"]).to_be_visible()
    sign_out(window)
    expect(window.card(drop)["hold"]).to_be_hidden()
    window.page.evaluate("window.nextUser = { sub: 'bob', nickname: 'Bob' }")
    account(window).click()
    expect(account(window)).to_have_text("Bob")
    window.card(drop)["reserve"].click()
    expect(window.card(drop)["hold"]).to_be_visible()
    assert database.stock(drop) == (0, 2, 0)


def test_the_name_of_an_address_means_nothing_here(window, make_users):
    (ann,) = make_users(1)
    window.page.goto(f"{window.url}?user={ann}")
    expect(account(window)).to_have_text("Sign in")


def test_the_account_dialog_is_accessible(window, drop):
    window.card(drop)["reserve"].click()
    expect(account(window)).to_have_text("Alice")
    account(window).click()
    expect(window.page.get_by_role("dialog", name="Signed in as Alice")).to_be_visible()
    assert axe_violations(window.page) == []
