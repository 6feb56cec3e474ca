"""The console's door, its list and its form, in Chromium."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Route, expect

from lib import inventory
from tests.support.browser import browser, open_window
from tests.support.console import open_console

__all__ = ["browser", "open_console", "open_window"]

pytestmark = pytest.mark.xdist_group("console")

TOKEN = "a token of this test"


def test_development_without_a_token_needs_no_sign_in(make_drop, open_console):
    make_drop(name="Night Ferry")
    console = open_console()
    expect(console.heading).to_have_text("Drops")
    expect(console.link("Night Ferry")).to_be_visible()
    expect(console.button("Sign out")).to_be_hidden()


def test_the_token_opens_the_console_and_stays_in_its_tab(configure, make_drop, open_console):
    configure(ADMIN_TOKEN="right-token")
    make_drop(name="Night Ferry")
    console = open_console().allow(401, "/api/admin/drops")
    console.faults().clear()  # the first question, asked without a token
    expect(console.heading).to_have_text("Sign in")
    console["Admin token"].fill("wrong-token")
    console.button("Sign in").click()
    expect(console.page.get_by_role("alert")).to_have_text("That is not the token of this server.")
    expect(console["Admin token"]).to_be_focused()
    console["Admin token"].fill("  right-token ")
    console.page.keyboard.press("Enter")
    expect(console.link("Night Ferry")).to_be_visible()
    kept = console.page.evaluate("[JSON.stringify(localStorage), JSON.stringify(sessionStorage), location.href]")
    assert ["right-token" in text for text in kept] == [False, True, False]
    console.page.reload()
    expect(console.link("Night Ferry")).to_be_visible()
    other = open_console(tab_of=console).allow(401, "/api/admin/drops")
    other.faults().clear()
    expect(other.heading).to_have_text("Sign in")
    console.button("Sign out").click()
    expect(console.heading).to_have_text("Sign in")
    assert console.page.evaluate("sessionStorage.length") == 0
    console.page.reload()
    expect(console.heading).to_have_text("Sign in")


def test_a_token_that_is_withdrawn_leads_to_the_door(configure, make_drop, open_console):
    configure(ADMIN_TOKEN="old")
    console = open_console().allow(401, "/api/")
    console.faults().clear()
    console["Admin token"].fill("old")
    console.button("Sign in").click()
    expect(console.heading).to_have_text("Drops")
    # The list asks again by itself: whatever is asked next leads to the door.
    configure(ADMIN_TOKEN="new")
    expect(console.page.get_by_role("alert")).to_have_text("The server no longer accepts this token.")
    assert console.page.evaluate("sessionStorage.length") == 0


def test_a_server_without_a_token_in_production_says_what_is_missing(configure, database, open_console):
    configure(HOLDFAST_ENV="production")
    console = open_console().allow(503, "/api/admin/drops")
    console.faults().clear()
    expect(console.page.get_by_role("alert")).to_contain_text("ADMIN_TOKEN must be set on the server")


def test_drops_are_searched_filtered_and_paged(database, make_drop, open_console):
    for number in range(30):
        make_drop(stock=1, name=f"Keel Tee {number:02}")
    ferry = make_drop(name="Night Ferry")
    inventory.update_drop(ferry, {"state": "PAUSED"})
    console = open_console()
    rows = console.page.locator("tbody tr")
    expect(rows).to_have_count(25)
    console.button("Show more").click()
    expect(rows).to_have_count(31)
    expect(console.link("Keel Tee 05")).to_be_focused()
    console["Search"].fill("tee 07")
    expect(rows).to_have_count(1)
    console["Search"].fill("")
    console["Status"].select_option("Paused")
    expect(rows).to_have_count(1)
    expect(console.link("Night Ferry")).to_be_visible()
    console.link("Night Ferry").click()
    expect(console.heading).to_have_text("Night Ferry")
    console.page.go_back()
    expect(console["Status"]).to_have_value("PAUSED")
    expect(rows).to_have_count(1)
    console["Search"].fill("nothing like it")
    expect(console.page.get_by_text("No drop fits this search.")).to_be_visible()


def test_a_drop_that_is_made_shows_in_the_shop_without_a_reload(
    channel, database, make_users, open_console, open_window
):
    shop = open_window(make_users(1)[0])
    console = open_console("#/new", timezone_id="America/New_York")
    expect(console.page.get_by_text("America/New_York")).to_be_visible()
    console["Name"].fill("  Halyard Shell ")
    console["Price"].fill("149,5")
    console["Currency"].fill("eur")
    console.radio("Sizes").check()
    paste(console, "Label of size 1", "S:6, M:9\nL\t1")
    console["End"].fill("2031-07-01T09:30")
    console["Hold time"].fill("120")
    console["Limit for each buyer"].fill("2")
    console.button("Create the drop").click()
    expect(console.heading).to_have_text("Halyard Shell")
    number = int(console.page.url.rpartition("/")[2])
    made = inventory.get_drop(number)
    assert (made.name, str(made.price), made.currency) == ("Halyard Shell", "149.50", "EUR")
    assert (made.hold_seconds, made.max_per_user) == (120, 2)
    assert made.drop_end_time == datetime(2031, 7, 1, 13, 30, tzinfo=UTC)
    assert [(size["size"], size["totalStock"]) for size in made.sizes] == [("S", 6), ("M", 9), ("L", 1)]
    expect(shop.card(number).root).to_contain_text("Halyard Shell")
    shop.card(number).expect_stock(16)


def paste(console, label: str, text: str) -> None:
    console[label].evaluate(
        """(input, text) => {
             const clipboardData = new DataTransfer();
             clipboardData.setData('text/plain', text);
             input.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}));
           }""",
        text,
    )


def test_mistakes_are_told_at_their_fields_before_anything_is_sent(database, open_console):
    console = open_console("#/new")
    console["Price"].fill("12.345")
    console["Currency"].fill("EURO")
    console["Address of the picture"].fill("javascript:alert(1)")
    console["Hold time"].fill("0")
    console["Limit for each buyer"].fill("1.5")
    console["Start"].fill("2031-01-02T10:00")
    console["End"].fill("2031-01-02T10:00")
    console["Units"].fill("1000001")
    console.button("Create the drop").click()
    told = {
        "name": "Give the drop a name.",
        "price": "Two decimals at most.",
        "imageUrl": "Give an address that begins with https:// or /, without spaces.",
        "holdSeconds": "Give 1 to 86,400 seconds.",
        "maxPerUser": "Give 1 to 1,000,000, or leave it empty for no limit.",
        "dropEndTime": "The end must come after the start.",
        "totalStock": "Give 1 to 1,000,000 units.",
    }
    for field, message in told.items():
        expect(console.error(field)).to_have_text(message)
    expect(console["Name"]).to_be_focused()
    expect(console["Name"]).to_have_attribute("aria-invalid", "true")
    expect(console.page.get_by_test_id("form-error")).to_have_text("Please correct what is marked above.")
    console.radio("Sizes").check()
    paste(console, "Label of size 1", "38:1, 38:2")
    console.button("Create the drop").click()
    expect(console.page.locator(".size-rows")).to_contain_text("This size is there twice.")
    assert database.value("select count(*) from drops") == 0


def test_what_the_server_refuses_is_told_at_its_field(database, open_console):
    """The request is changed on its way: the page itself would not send such a one."""
    console = open_console("#/new").allow(422, "/api/drops")

    def spoil(route: Route) -> None:
        route.continue_(post_data=route.request.post_data.replace('"price":"5"', '"price":"5abc"'))

    console.page.route("**/api/drops", spoil)
    for label, value in {"Name": "Night Ferry", "Price": "5", "Units": "3"}.items():
        console[label].fill(value)
    console.button("Create the drop").click()
    expect(console.error("price")).to_have_text("Must be a number")
    expect(console["Price"]).to_be_focused()
    assert database.value("select count(*) from drops") == 0
    console.page.unroute("**/api/drops", spoil)
    console.button("Create the drop").click()
    expect(console.heading).to_have_text("Night Ferry")


def test_a_double_click_and_lost_replies_make_one_drop(database, open_console):
    console = open_console("#/new")
    keys: list[str] = []

    def lose_four_replies(route: Route) -> None:
        """As many as the page asks for by itself."""
        reply = route.fetch()
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) <= 4:
            route.abort("connectionreset")
        else:
            route.fulfill(response=reply)

    console.page.route("**/api/drops", lose_four_replies)
    for label, value in {"Name": "Night Ferry", "Price": "5", "Units": "3"}.items():
        console[label].fill(value)
    console.button("Create the drop").dblclick()
    expect(console.page.get_by_test_id("form-error")).to_contain_text("The server cannot be reached.")
    console.button("Create the drop").click()
    expect(console.heading).to_have_text("Night Ferry")
    assert (len(keys), len(set(keys))) == (5, 1)
    assert database.value("select count(*) from drops") == 1
    assert all("ERR_CONNECTION_RESET" in fault for fault in console.faults())
    console.faults().clear()


def test_sizes_are_put_in_order_and_removed_with_the_keyboard(database, open_console):
    console = open_console("#/new")
    console["Name"].fill("Harbor Runner")
    console["Price"].fill("80")
    console.radio("Sizes").check()
    paste(console, "Label of size 1", "38:1, 39:2, 40:3, 41:4")
    press = console.page.keyboard.press
    console.button("Move 41 up").focus()
    press("Enter")
    press("Enter")
    expect(console.button("Move 41 up")).to_be_focused()
    console.button("Move 38 down").focus()
    press("Enter")
    console.button("Remove 39").focus()
    press("Space")
    expect(console.button("Remove 40")).to_be_focused()
    console.button("Add a size").click()
    expect(console["Label of size 4"]).to_be_focused()
    console.page.keyboard.type("42")
    press("Tab")
    console.page.keyboard.type("5")
    expect(console.page.get_by_text("4 sizes, 13 units")).to_be_visible()
    console.button("Create the drop").click()
    expect(console.heading).to_have_text("Harbor Runner")
    query = "select size, total_stock from drop_sizes order by position"
    assert database.rows(query) == [("41", 4), ("38", 1), ("40", 3), ("42", 5)]


def test_an_edit_changes_what_was_edited_and_nothing_else(database, make_drop, open_console):
    start = datetime.now(UTC) + timedelta(days=3)
    drop = make_drop(name="Night Ferry", start=start, hold_seconds=60, max_per_user=2)
    console = open_console(f"#/drops/{drop}/edit")
    expect(console["Currency"]).not_to_be_editable()
    inventory.update_drop(drop, {"max_per_user": 7})  # somebody else, meanwhile
    console["Name"].fill("Day Ferry")
    console["Hold time"].fill("90")
    console.button("Save").click()
    expect(console.heading).to_have_text("Day Ferry")
    changed = inventory.get_drop(drop)
    assert (changed.name, changed.hold_seconds, changed.max_per_user) == ("Day Ferry", 90, 7)
    assert changed.drop_start_time == start  # with the microseconds that the form does not show


def test_a_copy_is_a_drop_of_its_own(database, make_drop, open_console):
    first = make_drop(name="Keel Tee", sizes=[("S", 2), ("M", 3)], hold_seconds=30, max_per_user=1, currency="CHF")
    console = open_console(f"#/drops/{first}")
    console.link("Duplicate").click()
    expect(console.heading).to_have_text("New drop like Keel Tee")
    expect(console["Start"]).to_have_value("")
    console["Name"].fill("Keel Tee, second run")
    console.button("Create the drop").click()
    expect(console.heading).to_have_text("Keel Tee, second run")
    assert inventory.get_drop(first).name == "Keel Tee"
    copy = inventory.get_drop(int(re.findall(r"\d+$", console.page.url)[0]))
    assert (copy.hold_seconds, copy.max_per_user, copy.currency) == (30, 1, "CHF")
    assert [(size["size"], size["totalStock"]) for size in copy.sizes] == [("S", 2), ("M", 3)]


def test_the_picture_is_shown_before_it_is_saved(database, open_console):
    console = open_console("#/new")
    picture = console.page.locator(".preview img")
    console["Address of the picture"].fill("/icon.svg")
    expect(picture).to_have_js_property("complete", True)
    expect(picture).to_have_attribute("src", "/icon.svg")
    console.allow(404, "/no-such-picture.png")
    console["Address of the picture"].fill("/no-such-picture.png")
    expect(console.page.get_by_text("No picture loads from this address.")).to_be_visible()
