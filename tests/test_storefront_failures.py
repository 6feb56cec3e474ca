"""Whatever goes wrong, the shopper reads in plain words what to do; and no failure takes a hold or a unit with it."""

import json

import pytest
from playwright.sync_api import Page, Route, expect

from dev.soketi import Soketi
from lib import errors, events, inventory
from tests.support.browser import browser, open_window
from tests.support.page_audit import axe_violations

__all__ = ["browser", "open_window"]

pytestmark = pytest.mark.xdist_group("browser")

CLIENTS_OWN = {"network", "bad_gateway"}
# The client asks again after these; they have tests of their own.
ASKED_AGAIN = {"busy", "database_unavailable"}


def words(page: Page) -> dict[str, str]:
    found: dict[str, str] = page.evaluate("import('/storefront/failures.js').then(({ FAILURES }) => FAILURES)")
    return found


def refuse(code: str) -> Route:
    error = errors.BY_CODE.get(code, errors.HoldfastError)
    body = {"code": code, "detail": "not for shoppers", "status": error.status, "requestId": "0123456789abcdef"}

    def answer(route: Route) -> None:
        route.fulfill(status=error.status, content_type="application/problem+json", body=json.dumps(body))

    return answer


def test_every_failure_of_the_api_is_told_in_plain_words(channel, database, make_drop, make_users, open_window):
    drop = make_drop()
    window = open_window(make_users(1)[0], drop=drop)
    card, told = window.card(drop), words(window.page)
    assert set(told) == set(errors.BY_CODE) | {errors.HoldfastError.code} | CLIENTS_OWN
    # Where a name is forgotten, the next tap asks for one: last.
    for code in sorted(set(told) - CLIENTS_OWN - ASKED_AGAIN, key=lambda code: code == "user_not_found"):
        window.allow(errors.BY_CODE.get(code, errors.HoldfastError).status, "/api/reserve/")
        window.page.unroute("**/api/reserve/*")
        window.page.route("**/api/reserve/*", refuse(code))
        card["reserve"].click()
        expect(card["message"]).to_contain_text(told[code])
        card.expect_armed()
    assert card["message"].evaluate("node => node.closest('[aria-live], [role=status]') === node")
    expect(window.page.get_by_test_id("user")).to_have_text("Choose a name")
    assert database.statuses(drop) == {}


def test_what_is_said_fits_the_place_that_is_kept_for_it(channel, make_drop, make_users, open_window):
    """At 360 px, so that nothing moves and nothing covers the button."""
    drop = make_drop()
    window = open_window(make_users(1)[0], drop=drop, viewport={"width": 360, "height": 740})
    card, told = window.card(drop), words(window.page)
    # In one go: the page itself takes the text away again with the next change of the drop.
    over = card.root.evaluate(
        """(card, texts) => {
          const [message, button] = ['message', 'reserve'].map((name) => card.querySelector(`[data-testid=${name}]`));
          return Object.entries(texts).filter(([, text]) => {
            message.textContent = text;
            return message.getBoundingClientRect().bottom > button.getBoundingClientRect().top + 1;
          });
        }""",
        told,
    )
    assert over == []


def test_while_the_shop_is_busy_the_page_asks_on_and_says_so(channel, make_drop, make_users, open_window):
    drop, busy = make_drop(), [True]
    window = open_window(make_users(1)[0]).allow(503, "/api/reserve/")
    card = window.card(drop)
    window.page.route("**/api/reserve/*", lambda route: refuse("busy")(route) if busy[0] else route.continue_())
    card["reserve"].click()
    expect(card.root).to_contain_text("Still asking for you: no need to tap again.")
    busy.clear()
    busy.append(False)
    expect(card["hold"]).to_be_visible()


def test_a_reply_that_is_lost_costs_nothing(channel, database, make_drop, make_users, open_window):
    """The shop has sold it, and the answer does not arrive: the page asks again and shows the one purchase."""
    drop, lost = make_drop(), []
    window = open_window(make_users(1)[0]).allow(0, "/api/purchase/")
    card = window.card(drop)

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().status)
        route.abort("connectionreset")

    window.page.route("**/api/purchase/*", lose)
    card["reserve"].click()
    card["purchase"].click()
    expect(card["receipt"]).to_contain_text("$200 paid")
    assert lost == [201]
    assert database.stock(drop) == (4, 0, 1)


def test_a_reserve_whose_reply_is_lost_does_not_lock_out_who_took_the_last_unit(
    channel, database, make_drop, make_users, open_window
):
    drop = make_drop(stock=1)
    window = open_window(make_users(1)[0]).allow(0, "/api/reserve/")
    card = window.card(drop)

    def lose(route: Route) -> None:
        route.fetch()
        route.abort("connectionreset")

    window.page.route("**/api/reserve/*", lose)
    card["reserve"].click()
    expect(card["message"]).to_have_text(words(window.page)["network"])
    card.expect_stock(0)
    card.expect_armed("Try again")
    window.page.unroute("**/api/reserve/*")
    card["reserve"].click()
    expect(card["hold"]).to_be_visible()
    assert database.stock(drop) == (0, 1, 0)


def test_a_name_whose_reply_is_lost_is_not_taken_by_the_one_who_asked_for_it(channel, database, make_drop, open_window):
    drop = make_drop()
    window = open_window().allow(0, "/api/users")
    page, card = window.page, window.card(drop)

    def lose(route: Route) -> None:
        if route.request.method == "POST":
            route.fetch()
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/api/users", lose)
    card["reserve"].click()
    page.get_by_label("Your name").fill("Kim")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_have_text(words(page)["network"])
    page.unroute("**/api/users")
    page.get_by_role("button", name="Continue").click()
    expect(card["hold"]).to_be_visible()
    assert database.value("select count(*) from users") == 1


def test_a_name_that_comes_after_the_visitor_turned_away_is_not_theirs(channel, database, make_drop, open_window):
    drop, waiting = make_drop(), []
    window = open_window()
    page, card = window.page, window.card(drop)

    def hold_back(route: Route) -> None:
        if route.request.method == "POST":
            waiting.append(route)
        else:
            route.continue_()

    page.route("**/api/users", hold_back)
    card["reserve"].click()
    page.get_by_label("Your name").fill("Kim")
    with page.expect_request("**/api/users"):
        page.get_by_role("button", name="Continue").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    with page.expect_response("**/api/users"):
        waiting[0].continue_()
    expect(page.get_by_test_id("user")).to_have_text("Choose a name")
    page.unroute("**/api/users")
    # The name is still good for who asked for it.
    card["reserve"].click()
    page.get_by_label("Your name").fill("Kim")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_test_id("user")).to_have_text("Kim")
    expect(card["hold"]).to_be_visible()
    assert database.stock(drop) == (4, 1, 0)


def test_a_hold_that_the_shop_has_closed_meanwhile_is_told(channel, database, make_drop, make_users, open_window):
    drop, (ann,) = make_drop(), make_users(1)
    window = open_window(ann).allow(409, "/api/purchase/")
    card = window.card(drop)
    card["reserve"].click()
    expect(card["hold"]).to_be_visible()
    expect(card["purchase"]).to_be_enabled()
    inventory.release(database.value("select id from reservations"), ann)
    card["purchase"].click()
    expect(card["message"]).to_have_text(words(window.page)["reservation_closed"])
    expect(card["hold"]).to_be_hidden()
    card["reserve"].click()
    expect(card["hold"]).to_be_visible()


def test_with_the_channel_gone_the_page_polls_and_comes_back(database, configure, make_drop, make_users, open_window):
    with Soketi() as soketi:
        configure(**soketi.env())
        drop, (ann, bob, eve) = make_drop(stock=3), make_users(3)
        window = open_window(ann).allow(0, f":{soketi.port}/")
        card, connection = window.card(drop), window.page.get_by_test_id("connection")
        expect(connection).to_have_text("Live")
        soketi.kill()
        expect(connection).to_have_text("Updating")
        assert axe_violations(window.page) == []
        inventory.reserve(drop, bob)
        card.expect_stock(2)
        card["reserve"].click()
        expect(card["hold"]).to_be_visible()
        card.expect_stock(1)
        soketi.start()
        expect(connection).to_have_text("Live")
        inventory.reserve(drop, eve)
        events.deliver()
        card.expect_stock(0)


def test_with_the_shop_out_of_reach_the_page_says_so_keeps_the_hold_and_recovers(
    database, configure, make_drop, make_users, open_window
):
    with Soketi() as soketi:
        configure(**soketi.env())
        drop, (ann,) = make_drop(stock=3), make_users(1)
        window = open_window(ann).allow(0, f":{soketi.port}/").allow(0, "/api/")
        card, connection = window.card(drop), window.page.get_by_test_id("connection")
        card["reserve"].click()
        expect(card["hold"]).to_be_visible()
        soketi.kill()
        window.page.route("**/api/**", lambda route: route.abort("connectionfailed"))
        expect(connection).to_have_text("Offline")
        expect(card["hold"]).to_be_visible()
        card["purchase"].click()
        expect(card["message"]).to_have_text(words(window.page)["network"])
        expect(card["hold"]).to_be_visible()
        assert axe_violations(window.page) == []
        window.page.unroute("**/api/**")
        expect(connection).to_have_text("Updating")
        card["purchase"].click()
        expect(card["receipt"]).to_be_visible()
        assert database.stock(drop) == (2, 0, 1)
