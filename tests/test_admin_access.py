"""The console for everybody: axe on each view in its states, on phones and by keyboard alone."""

import pytest
from playwright.sync_api import expect

from lib import events, inventory
from tests.support.browser import DESKTOP, PHONE, browser
from tests.support.console import open_console

__all__ = ["browser", "open_console"]

pytestmark = pytest.mark.xdist_group("console")

LOOKS = [
    pytest.param({"viewport": PHONE, "color_scheme": "light"}, id="phone, light"),
    pytest.param({"viewport": PHONE, "color_scheme": "dark"}, id="phone, dark"),
    pytest.param({"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}, id="desktop, light"),
    pytest.param({"viewport": DESKTOP, "color_scheme": "dark", "reduced_motion": "reduce"}, id="desktop, dark, still"),
]


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_at_the_door_and_in_an_empty_shop(configure, database, open_console, look):
    console = open_console(**look)
    expect(console.page.get_by_text("No drops yet.")).to_be_visible()
    console.expect_accessible()
    configure(ADMIN_TOKEN="secret")
    console.allow(401, "/api/admin/drops").page.reload()
    console["Admin token"].fill("wrong")
    console.button("Sign in").click()
    expect(console.page.get_by_role("alert")).not_to_be_empty()
    console.expect_accessible()


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_in_the_list_and_the_form(database, make_drop, open_console, look):
    made = [make_drop(name=f"{'Long ' * 12}name") for _ in range(3)]
    inventory.update_drop(made[0], {"state": "PAUSED", "image_url": "/icon.svg"})
    inventory.update_drop(made[1], {"state": "CANCELLED"})
    console = open_console(**look)
    expect(console.page.locator("tbody tr")).to_have_count(3)
    console.expect_accessible()
    console.link("New drop").click()
    console.radio("Sizes").check()
    console.button("Add a size").click()
    console.button("Create the drop").click()
    expect(console.error("name")).not_to_be_empty()
    console.expect_accessible()
    console.page.goto(f"{console.url}#/drops/{made[0]}/edit")
    expect(console["Currency"]).to_have_value("USD")
    console.expect_accessible()


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_in_a_sale_and_its_questions(channel, make_drop, make_users, open_console, look):
    drop, users = make_drop(sizes=[("S", 3), ("M", 2)]), make_users(3)
    for user in users:
        inventory.purchase(inventory.reserve(drop, user, "S").id, user)
        inventory.reserve(drop, user, "M") if user != users[2] else None
    events.deliver()
    console = open_console(f"#/drops/{drop}", **look)
    expect(console.figure("purchased")).to_have_text("3")
    expect(console.page.get_by_role("region", name="Holding now").locator("tbody tr")).to_have_count(2)
    console.expect_accessible()
    for action in ("Restock", "Pause", "Cancel the drop"):
        console.button(action).click()
        expect(console.dialog).to_be_visible()
        console.expect_accessible()
        console.page.keyboard.press("Escape")
        expect(console.dialog).to_be_hidden()
    console.button("Pause").click()
    console.dialog.get_by_role("button", name="Pause it").click()
    console.button("Open again").click()
    expect(console.dialog).to_be_visible()
    console.expect_accessible()
    console.page.keyboard.press("Escape")
    console.allow(409, f"/api/drops/{drop}/restock")
    console.button("Restock").click()
    console["Units to add"].fill("-1000")
    console.dialog.get_by_role("button", name="Restock").click()
    expect(console.dialog.get_by_role("alert")).not_to_be_empty()
    console.expect_accessible()


def test_a_drop_is_made_and_paused_with_the_keyboard_alone(channel, database, open_console):
    console = open_console()
    keyboard = console.page.keyboard

    def tab_to(name: str) -> None:
        """On to the control of this name, as somebody who hears the names would."""
        for _ in range(40):
            keyboard.press("Tab")
            focused = console.page.locator(":focus")
            if focused.count() and name in (focused.get_attribute("aria-label") or "", focused.inner_text().strip()):
                return
            if focused.count() and focused.evaluate("e => e.labels?.[0]?.textContent") == name:
                return
        raise AssertionError(f"the Tab key does not lead to {name}")

    tab_to("New drop")
    keyboard.press("Enter")
    expect(console.heading).to_be_focused()
    for label, text in {"Name": "Night Ferry", "Price": "12", "Units": "4"}.items():
        tab_to(label)
        keyboard.type(text)
    keyboard.press("Enter")
    expect(console.heading).to_have_text("Night Ferry")
    expect(console.heading).to_be_focused()
    tab_to("Pause")
    keyboard.press("Enter")
    expect(console.button("Pause it")).to_be_focused()
    keyboard.press("Enter")
    expect(console.page.get_by_test_id("status")).to_have_text("Paused")
    assert database.rows("select name, state from drops") == [("Night Ferry", "PAUSED")]
    expect(console.button("Open again")).to_be_focused()
