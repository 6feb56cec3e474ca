"""What the storefront says about a drop in each of its states, and that it changes on open pages by itself."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from lib import events, inventory
from tests.support.browser import browser, open_window

__all__ = ["browser", "open_window"]

pytestmark = pytest.mark.xdist_group("browser")

# Long enough to open a page in it on a busy machine.
MOMENT = timedelta(seconds=6)


def test_reserving_without_a_size_is_told_and_the_chosen_size_is_taken(
    channel, database, make_drop, make_users, open_window
):
    drop, (ann, bob) = make_drop(sizes=[("8", 2), ("9", 2)]), make_users(2)
    window, other = open_window(ann), open_window(bob)
    card = window.card(drop)
    card["reserve"].click()
    expect(card["message"]).to_have_text("Choose a size first.")
    expect(card.size("8")).to_be_focused()
    assert database.statuses(drop) == {}
    card.size("9").check()
    expect(card["message"]).to_be_empty()
    card["reserve"].click()
    expect(card["hold"]).to_contain_text("Size 9 is held for you")
    for page in (window, other):
        expect(page.card(drop)["size-8"]).to_contain_text("2 left")
        expect(page.card(drop)["size-9"]).to_contain_text("1 left")
        page.card(drop).expect_stock(3)
    assert database.stock(drop, "9") == (1, 1, 0)


def test_a_sold_out_size_cannot_be_chosen_until_it_is_back(channel, make_drop, make_users, open_window):
    drop, (ann, bob) = make_drop(sizes=[("8", 1), ("9", 1)]), make_users(2)
    here, there = open_window(ann).card(drop), open_window(bob).card(drop)
    here.size("8").check()
    here["reserve"].click()
    expect(there["size-8"]).to_contain_text("none left")
    expect(there.size("8")).to_be_disabled()
    expect(there.size("9")).to_be_enabled()
    here["release"].click()
    expect(there["size-8"]).to_contain_text("1 left")
    expect(there.size("8")).to_be_enabled()


def test_who_has_chosen_a_size_that_sells_out_keeps_it_and_gets_it_when_it_is_back(
    channel, make_drop, make_users, open_window
):
    drop, (ann, bob) = make_drop(sizes=[("8", 1), ("9", 1)]), make_users(2)
    here, there = open_window(ann).card(drop), open_window(bob).allow(409, "/api/reserve/").card(drop)
    there.size("8").check()
    here.size("8").check()
    here["reserve"].click()
    expect(there["size-8"]).to_contain_text("none left")
    there["reserve"].click()
    expect(there["message"]).to_contain_text("Someone was a moment faster.")
    expect(there.size("8")).to_be_checked()
    here["release"].click()
    expect(there["size-8"]).to_contain_text("1 left")
    there["reserve"].click()
    expect(there["hold"]).to_contain_text("Size 8 is held for you")


def test_sold_out_tells_when_the_next_hold_ends_and_back_in_stock_opens_the_button(
    channel, make_drop, make_users, open_window
):
    drop, (ann, bob) = make_drop(stock=1), make_users(2)
    card = open_window(bob).card(drop)
    hold = inventory.reserve(drop, ann)
    events.deliver()
    expect(card["status"]).to_have_text("Sold out")
    card.expect_disarmed("Sold out")
    expect(card.root).to_contain_text(re.compile(r"Units may return: next hold ends in 0:\d\d"))
    inventory.release(hold.id, ann)
    events.deliver()
    expect(card["status"]).to_have_text("Live")
    card.expect_armed()
    inventory.purchase(inventory.reserve(drop, ann).id, ann)
    events.deliver()
    card.expect_disarmed("Sold out")
    expect(card.root).to_contain_text("Every unit has been bought.")


def test_a_hold_that_ended_with_no_sweep_is_offered_to_who_waits(channel, database, make_drop, make_users, open_window):
    """No clock runs here at all: the page asks when the hold it waits for is over, and asking sweeps."""
    drop, (ann, bob) = make_drop(stock=1, hold_seconds=4), make_users(2)
    card = open_window(bob).card(drop)
    inventory.reserve(drop, ann)
    events.deliver()
    card.expect_disarmed("Sold out")
    card.expect_armed()
    card["reserve"].click()
    expect(card["hold"]).to_be_visible()
    assert database.statuses(drop) == {"EXPIRED": 1, "ACTIVE": 1}


def test_the_button_of_an_upcoming_drop_arms_by_itself_at_the_start(
    channel, database, make_drop, make_users, open_window
):
    start = datetime.now(UTC) + MOMENT
    drop = make_drop(stock=3, start=start)
    window = open_window(make_users(1)[0])
    card = window.card(drop)
    expect(card["status"]).to_have_text("Soon")
    expect(card["reserve"]).to_have_text(re.compile(r"^Opens in 0:0\d$"))
    expect(card["reserve"]).to_have_attribute("aria-disabled", "true")
    card.expect_armed()
    assert abs(datetime.now(UTC) - start) < MOMENT
    expect(card["status"]).to_have_text("Live")
    card["reserve"].click()
    expect(card["hold"]).to_be_visible()
    assert database.stock(drop) == (2, 1, 0)


def test_paused_opened_again_and_cancelled_show_on_open_pages_at_once(
    channel, client, make_drop, make_users, open_window
):
    drop, (ann, bob) = make_drop(stock=3), make_users(2)
    cards = [open_window(user).card(drop) for user in (ann, bob)]
    for state, said in (("PAUSED", "Paused"), ("OPEN", "Live"), ("CANCELLED", "Cancelled")):
        assert client.patch(f"/api/drops/{drop}", json={"state": state}).status_code == 200
        for card in cards:
            expect(card["status"]).to_have_text(said, timeout=5000)
            if state == "OPEN":
                card.expect_armed()
            else:
                card.expect_disarmed(said)


def test_a_new_drop_appears_on_an_open_page(channel, client, database, make_users, open_window):
    window = open_window(make_users(1)[0])
    expect(window.page.get_by_text("No drops yet.")).to_be_visible()
    made = client.post("/api/drops", json={"name": "Late arrival", "price": 20, "totalStock": 2}).json()["drop"]
    window.card(made["id"]).expect_stock(2)
    expect(window.page.get_by_text("No drops yet.")).to_be_hidden()


def test_a_hold_ends_with_a_drop_that_is_cancelled(channel, client, make_drop, make_users, open_window):
    drop = make_drop(stock=3)
    window = open_window(make_users(1)[0])
    card = window.card(drop)
    card["reserve"].click()
    expect(card["hold"]).to_be_visible()
    client.patch(f"/api/drops/{drop}", json={"state": "CANCELLED"})
    expect(card["message"]).to_contain_text("The shop has cancelled this drop.")
    expect(card["hold"]).to_be_hidden()
    window.page.reload()
    card.expect_disarmed("Cancelled")
    expect(card["hold"]).to_be_hidden()


def test_a_purchase_at_the_limit_is_told(channel, database, make_drop, make_users, open_window):
    drop, (ann,) = make_drop(stock=3, max_per_user=1), make_users(1)
    inventory.purchase(inventory.reserve(drop, ann).id, ann)
    card = open_window(ann).allow(409, "/api/reserve/").card(drop)
    card["reserve"].click()
    expect(card["message"]).to_have_text("You have all that one person may buy here. Look at the other drops.")
    assert database.stock(drop) == (2, 0, 1)


def test_without_a_channel_the_pages_poll_and_still_agree(database, make_drop, make_users, open_window):
    drop, (ann, bob) = make_drop(stock=2), make_users(2)
    here, there = [open_window(user, go=False).allow(503, "/api/realtime") for user in (ann, bob)]
    for window in (here, there):
        window.open("polling")
        expect(window.page.get_by_test_id("connection")).to_have_text("Updating")
    here.card(drop)["reserve"].click()
    there.card(drop).expect_stock(1)
    here.card(drop)["purchase"].click()
    expect(there.card(drop)["feed"]).to_contain_text("just now")
    assert database.stock(drop) == (1, 0, 1)
