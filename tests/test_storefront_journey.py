"""One shopper's way on a phone, from a drop's link to the receipt; and that their hold is found wherever they are."""

import re

import pytest
from playwright.sync_api import Route, expect

from lib import events, inventory
from tests.support.browser import PHONE, browser, open_window
from tests.support.page_audit import layout_shift, watch_shifts

__all__ = ["browser", "open_window"]

pytestmark = pytest.mark.xdist_group("browser")

MOST_SHIFT = 0.01  # a tenth of what counts as good
# Two frames on: a shift is counted in the frame after it.
PAINTED = """new Promise((done) => {
  const observer = new PerformanceObserver(() => requestAnimationFrame(() => requestAnimationFrame(done)));
  observer.observe({ type: 'paint', buffered: true });
})"""


def test_the_whole_way_on_a_phone_and_nothing_moves_by_itself(channel, database, make_drop, make_users, open_window):
    drop, (ann, bob) = make_drop(sizes=[("8", 3), ("9", 1), ("10", 2)], name="Deck Shoe"), make_users(2)
    window = open_window(ann, go=False, drop=drop, viewport=PHONE, has_touch=True, is_mobile=True)
    watch_shifts(window.page)
    card = window.open().card(drop)
    expect(window.page).to_have_title("Deck Shoe · Holdfast")
    expect(window.page.get_by_role("heading", level=1, name="Deck Shoe")).to_be_visible()
    for part in (card.size("8"), card["reserve"]):
        expect(part).to_be_in_viewport(ratio=0.9)  # all that is needed, without scrolling
    card["size-8"].tap()
    card["reserve"].tap()
    expect(card["hold"]).to_contain_text("Size 8 is held for you")
    expect(window.page).to_have_title(re.compile(r"^(1:00|0:5\d) to buy · Deck Shoe$"))
    card["purchase"].tap()
    expect(card["receipt"]).to_contain_text("Size 8 is yours")
    number = database.value("select id from purchases")
    expect(card["receipt"]).to_contain_text(f"$200 paid · Receipt no. {number}")
    expect(window.page).to_have_title("Deck Shoe · Holdfast")
    inventory.purchase(inventory.reserve(drop, bob, "9").id, bob)
    events.deliver()
    expect(card["feed"].get_by_role("listitem")).to_have_count(2)
    card["dismiss"].tap()
    card.expect_armed()
    shift, what = layout_shift(window.page)
    assert shift <= MOST_SHIFT, what
    assert database.stock(drop, "8") == (2, 0, 1)


@pytest.mark.parametrize("is_drop", [True, False], ids=["drop", "list"])
def test_nothing_moves_while_scripts_and_stock_come_slowly(channel, make_drop, make_users, open_window, is_drop):
    """As on a phone with a weak signal: the page is painted long before its modules, and these before the stock."""
    drop, (ann,) = make_drop(), make_users(1)
    window = open_window(ann, go=False, drop=drop if is_drop else None, viewport=PHONE)
    watch_shifts(window.page)
    for address in ("**/app.js", "**/api/drops*", "**/api/drops/*"):
        window.page.route(address, _late)
    window.open().card(drop).expect_armed()
    shift, what = layout_shift(window.page)
    # The page goes on asking now and then: none of that may be held back while the window closes.
    window.page.unroute_all(behavior="ignoreErrors")
    assert shift <= MOST_SHIFT, what


def _late(route: Route) -> None:
    route.request.frame.evaluate(PAINTED)
    route.continue_()


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1440, "height": 900}], ids=["phone", "desktop"])
def test_the_list_loads_and_lives_without_a_shift(channel, database, make_drop, make_users, open_window, viewport):
    """Sold out, a hold that runs out, a purchase of somebody else and a new drop: all while the visitor only looks."""
    sized, single, short = make_drop(sizes=[("S", 2), ("M", 2)]), make_drop(stock=1), make_drop(hold_seconds=4)
    ann, bob = make_users(2)
    window = open_window(ann, go=False, viewport=viewport)
    watch_shifts(window.page)
    window.open()
    window.card(short)["reserve"].click()
    inventory.purchase(inventory.reserve(sized, bob, "S").id, bob)
    inventory.reserve(single, bob)
    events.deliver()
    expect(window.card(sized)["feed"]).to_contain_text("just now")
    window.card(single).expect_disarmed("Sold out")
    make_drop(name="Late arrival")
    events.deliver()
    expect(window.page.get_by_role("link", name="New: Late arrival")).to_be_visible()
    expect(window.card(short)["message"]).to_contain_text("Your hold ran out")
    shift, what = layout_shift(window.page)
    assert shift <= MOST_SHIFT, what


def test_a_double_tap_on_reserve_buys_nothing(channel, database, make_drop, make_users, open_window):
    drop, (ann,) = make_drop(), make_users(1)
    card = open_window(ann, viewport=PHONE).card(drop)
    box = card["reserve"].bounding_box()
    card.root.page.mouse.dblclick(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2, delay=60)
    expect(card["hold"]).to_be_visible()
    expect(card["purchase"]).to_be_enabled()
    assert database.stock(drop) == (4, 1, 0)
    card["purchase"].click()
    expect(card["receipt"]).to_be_visible()


def test_a_hold_and_its_receipt_show_in_another_tab_by_themselves(channel, make_drop, make_users, open_window):
    drop, (ann,) = make_drop(), make_users(1)
    window = open_window(ann)
    tab = window.another_tab().open()
    window.card(drop)["reserve"].click()
    expect(tab.card(drop)["hold"]).to_contain_text("One unit is held for you")
    tab.card(drop)["purchase"].click()
    expect(window.card(drop)["receipt"]).to_contain_text("$200 paid · Receipt no.")


def test_a_hold_made_on_another_device_is_found_there(channel, make_drop, make_users, open_window):
    drop, other, (ann,) = make_drop(sizes=[("S", 1)]), make_drop(), make_users(1)
    phone = open_window(ann)
    phone.card(drop)["reserve"].click()
    expect(phone.card(drop)["hold"]).to_be_visible()
    for laptop in (open_window(ann), open_window(ann, drop=drop)):
        expect(laptop.card(drop)["hold"]).to_contain_text("Size S is held for you")
    expect(laptop.card(other)["hold"]).to_be_hidden()
    laptop.card(drop)["purchase"].click()
    expect(laptop.card(drop)["receipt"]).to_contain_text("Size S is yours")


def test_a_hold_bought_elsewhere_comes_back_as_a_receipt(channel, make_drop, make_users, open_window):
    """The reply was lost, or another device bought it: the page knows a hold and finds a purchase, with its number."""
    drop, (ann,) = make_drop(), make_users(1)
    window = open_window(ann)
    window.card(drop)["reserve"].click()
    expect(window.card(drop)["hold"]).to_be_visible()
    hold = window.page.evaluate(f"JSON.parse(localStorage['holdfast.holds.{ann}'])[{drop}].reservationId")
    bought = inventory.purchase(hold, ann)
    window.page.reload()
    expect(window.card(drop)["receipt"]).to_contain_text(f"$200 paid · Receipt no. {bought.id}")


def test_what_is_held_stays_in_sight_and_leads_back(channel, make_drop, make_users, open_window):
    drops, (ann,) = [make_drop(name=f"Drop {number}") for number in range(4)], make_users(1)
    window = open_window(ann, viewport=PHONE)
    tray = window.page.get_by_test_id("tray")
    first = window.card(drops[-1])
    first["reserve"].click()
    expect(first["hold"]).to_be_visible()
    expect(tray).to_be_hidden()
    window.card(drops[0])["feed"].scroll_into_view_if_needed()
    expect(tray).to_have_text(re.compile(r"^0:\d\dDrop 3Buy$"))
    tray.click()
    expect(window.page).to_have_url(re.compile(rf"\?drop={drops[-1]}&user={ann}$"))
    expect(first["purchase"]).to_be_in_viewport()
    expect(tray).to_be_hidden()


def test_the_size_that_one_took_is_chosen_in_the_next_drop(channel, make_drop, make_users, open_window):
    shoes = [make_drop(sizes=[("8", 2), ("9", 2)]) for _ in range(2)]
    without, (ann,) = make_drop(sizes=[("8", 2), ("10", 2)]), make_users(1)
    window = open_window(ann)
    window.card(shoes[0]).size("9").check()
    window.card(shoes[0])["reserve"].click()
    expect(window.card(shoes[0])["hold"]).to_contain_text("Size 9 is held for you")
    window.page.reload()
    expect(window.card(shoes[1]).size("9")).to_be_checked()
    window.card(shoes[1])["reserve"].click()
    expect(window.card(shoes[1])["hold"]).to_contain_text("Size 9 is held for you")
    expect(window.card(without)["sizes"].get_by_role("radio", checked=True)).to_have_count(0)
