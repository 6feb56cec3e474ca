"""The console where answers are late, lost or refused, where somebody is in a hurry, and where the clock is set."""

import re

import pytest
from playwright.sync_api import Locator, Request, Route, expect

from lib import events, inventory
from tests.support.browser import browser
from tests.support.console import Console, open_console

__all__ = ["browser", "open_console"]

pytestmark = pytest.mark.xdist_group("console")

# Time enough for the page to do what it is not to do.
A_MOMENT = "new Promise((resolve) => setTimeout(resolve, 300))"


def refuse(route: Route) -> None:
    route.fulfill(status=500, json={"code": "internal_error", "detail": "Something broke."})


def problem(console: Console) -> Locator:
    return console.page.get_by_test_id("problem")


def announced(console: Console) -> str:
    return console.page.locator("#announcer").text_content() or ""


def buy(drop: int, user: int) -> None:
    inventory.purchase(inventory.reserve(drop, user).id, user)
    events.deliver()


@pytest.mark.parametrize("action", ["Restock", "Pause", "Cancel the drop"])
def test_a_double_click_asks_once(database, make_drop, open_console, action):
    drop = make_drop(stock=5)
    console = open_console(f"#/drops/{drop}")
    console.button(action).dblclick()
    expect(console.dialog).to_be_visible()
    console.page.evaluate(A_MOMENT)
    expect(console.dialog).to_have_count(1)
    if action == "Restock":
        console["Units to add"].fill("10")
        console.dialog.get_by_role("button", name="Restock").click()
        expect(console.dialog).to_be_hidden()
        assert database.stock(drop) == (15, 0, 0)
        console.button(action).click()
        expect(console.dialog).to_be_visible()


def test_a_question_that_cannot_be_asked_is_told_and_can_be_asked_again(make_drop, open_console):
    drop = make_drop(stock=5)
    console = open_console(f"#/drops/{drop}").allow(500, "/stats")
    console.page.route("**/stats", refuse)
    console.button("Pause").click()
    expect(problem(console)).to_have_text("Something broke.")
    console.page.unroute("**/stats")
    console.button("Pause").click()
    expect(console.dialog).to_be_visible()
    expect(problem(console)).to_have_text("")


def test_no_question_is_asked_about_a_drop_that_was_left(make_drop, open_console):
    drop = make_drop(stock=5)
    console = open_console(f"#/drops/{drop}")
    held: list[Route] = []
    console.page.route("**/stats", lambda route: held.append(route))
    for action in ("Pause", "Restock"):
        with console.page.expect_request("**/stats"):
            console.button(action).click()
        console.link("← All drops").click()
        expect(console.heading).to_have_text("Drops")
        while held:
            held.pop().continue_()
        console.page.evaluate(A_MOMENT)
        expect(console.dialog).to_have_count(0)
        console.page.go_back()
        console.page.unroute("**/stats")
        expect(console.figure("available")).to_have_text("5")
        console.page.route("**/stats", lambda route: held.append(route))


def test_a_history_that_fails_at_the_opening_comes_later(make_drop, make_users, open_console):
    drop, (user,) = make_drop(stock=5), make_users(1)
    buy(drop, user)
    console = open_console("#/new").allow(500, "/history")
    console.page.route("**/history", refuse)
    console.page.goto(f"{console.url}#/drops/{drop}")
    expect(problem(console)).to_have_text("Something broke.")
    expect(console.figure("available")).to_have_text("4")
    console.page.unroute("**/history")
    expect(problem(console)).to_have_text("")
    plot = console.page.locator(".plot")
    expect(plot).to_have_attribute("aria-label", "Stock over time. Now 4 on sale, 0 held, 1 sold.")
    assert int(plot.get_attribute("data-points") or 0) >= 2  # as it was made, and as it is


def test_older_purchases_are_asked_for_once_and_a_failure_is_told(make_drop, make_users, open_console):
    drop, users = make_drop(stock=20), make_users(12)
    for user in users:
        buy(drop, user)
    console = open_console(f"#/drops/{drop}").allow(500, "/purchases")
    purchases = console.page.get_by_role("region", name="Purchases")
    rows = purchases.locator("tbody tr")
    expect(rows).to_have_count(10)
    older = re.compile(r"/purchases\?(?!limit=10$)")
    console.page.route(older, refuse)
    console.button("Show more").click()
    expect(problem(console)).to_have_text("Something broke.")
    console.page.unroute(older)
    asked: list[Request] = []
    console.page.on("request", lambda request: asked.append(request) if older.search(request.url) else None)
    console.button("Show more").dblclick()
    expect(rows).to_have_count(12)
    expect(problem(console)).to_have_text("")
    assert len(asked) == 1


def test_a_list_that_does_not_come_is_not_announced(make_drop, open_console):
    make_drop()
    console = open_console("#/new").allow(500, "/api/admin/drops")
    console.page.route("**/api/admin/drops?*", refuse)
    console.page.goto(f"{console.url}#/")
    expect(console.page.get_by_text("Something broke.")).to_be_visible()
    console.page.evaluate(A_MOMENT)
    assert announced(console) == ""
    console.page.unroute("**/api/admin/drops?*")
    console["Status"].select_option("Live")
    expect(console.page.locator("#announcer")).to_have_text("1 drops")


def test_a_list_that_was_left_is_not_announced(make_drop, open_console):
    make_drop()
    console = open_console("#/new")
    held: list[Route] = []
    console.page.route("**/api/admin/drops?*", lambda route: held.append(route))
    with console.page.expect_request("**/api/admin/drops?*"):
        console.page.goto(f"{console.url}#/")
    console.page.goto(f"{console.url}#/new")
    expect(console.heading).to_have_text("New drop")
    held.pop().continue_()
    console.page.evaluate(A_MOMENT)
    assert announced(console) == ""


def test_a_clock_that_is_set_back_stops_nothing(database, make_drop, make_users, open_console):
    drop, users = make_drop(stock=5), make_users(2)
    names = dict(database.rows("select id, username from users"))
    console = open_console(f"#/drops/{drop}")
    holding = console.page.get_by_role("region", name="Holding now")
    inventory.reserve(drop, users[0])
    expect(holding).to_contain_text(names[users[0]])
    console.page.evaluate("{ const { now } = Date; Date.now = () => now() - 3_600_000; }")
    inventory.reserve(drop, users[1])
    expect(holding).to_contain_text(names[users[1]])


def test_a_question_does_not_outlive_its_view(make_drop, open_console):
    drop = make_drop()
    console = open_console()
    console.page.goto(f"{console.url}#/drops/{drop}")
    console.button("Pause").click()
    expect(console.dialog).to_be_visible()
    console.page.go_back()
    expect(console.heading).to_have_text("Drops")
    expect(console.dialog).to_be_hidden()
