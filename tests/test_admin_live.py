"""One drop in the console while it sells: figures, chart, what the shop can do, and the file of purchases."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

import api.admin
from lib import events, inventory, reports
from tests.support.browser import browser, open_window
from tests.support.console import open_console

__all__ = ["browser", "open_console", "open_window"]

pytestmark = pytest.mark.xdist_group("console")

# The part of the canvas that is drawn upon; a blank one has none.
DRAWN = """(plot) => {
  const canvas = plot.querySelector('canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, n) => n % 4 === 3 && value > 0).length;
}"""


def buy(drop: int, user: int) -> None:
    inventory.purchase(inventory.reserve(drop, user).id, user)
    events.deliver()


def test_the_figures_follow_the_sale(channel, database, make_drop, make_users, open_console):
    drop, users = make_drop(stock=5, price=30), make_users(4)
    console = open_console(f"#/drops/{drop}")
    expect(console.figure("available")).to_have_text("5")
    holds = [inventory.reserve(drop, user) for user in users]
    events.deliver()
    expect(console.figure("active")).to_have_text("4")
    names = dict(database.rows("select id, username from users"))
    expect(console.page.get_by_role("region", name="Holding now")).to_contain_text(names[users[0]])
    for hold in holds[:2]:
        inventory.purchase(hold.id, hold.user_id)
    inventory.release(holds[2].id, users[2])
    events.deliver()
    told = {"available": "2", "active": "1", "purchased": "2", "revenue": "$60", "conversion": "66.7%", "returned": "1"}
    for name, value in told.items():
        expect(console.figure(name)).to_have_text(value)
    expect(console.page.get_by_role("region", name="Purchases")).to_contain_text(names[users[0]])
    expect(console.page.locator(".tile", has_text="Refusals")).to_contain_text("Not counted")


def test_the_chart_begins_with_what_was_and_goes_on_as_it_happens(channel, make_drop, make_users, open_console):
    drop, users = make_drop(stock=9), make_users(3)
    buy(drop, users[0])
    console = open_console(f"#/drops/{drop}")
    plot = console.page.locator(".plot")
    expect(plot).to_have_attribute("aria-label", "Stock over time. Now 8 on sale, 0 held, 1 sold.")
    before = int(plot.get_attribute("data-points"))
    assert before >= 2  # as it was made, and as it is
    assert plot.evaluate(DRAWN) > 1000
    inventory.reserve(drop, users[1])
    events.deliver()
    expect(plot).to_have_attribute("aria-label", "Stock over time. Now 7 on sale, 1 held, 1 sold.")
    assert int(plot.get_attribute("data-points")) > before


def test_a_pause_says_that_holds_stay_good_and_the_shop_shows_it(
    channel, make_drop, make_users, open_console, open_window
):
    drop, users = make_drop(stock=5), make_users(3)
    holds = [inventory.reserve(drop, user) for user in users[:2]]
    shop, console = open_window(users[2]), open_console(f"#/drops/{drop}")
    console.button("Pause").click()
    expect(console.dialog).to_contain_text("2 holds are live; they stay good until their deadline and can be bought.")
    assert inventory.get_drop(drop).state == "OPEN"
    console.button("Pause it").click()
    expect(console.dialog).to_be_hidden()
    expect(console.page.get_by_test_id("status")).to_have_text("Paused")
    shop.card(drop).expect_disarmed("Paused")
    assert inventory.purchase(holds[0].id, users[0]).outcome == "ok"
    console.button("Open again").click()
    expect(console.dialog).to_contain_text("One hold is live; nothing changes for them.")
    console.button("Open it").click()
    expect(console.page.get_by_test_id("status")).to_have_text("Live")
    shop.card(drop).expect_armed()


def test_a_cancellation_says_that_holds_are_lost_and_needs_more_than_enter(
    channel, make_drop, make_users, open_console
):
    drop, users = make_drop(stock=5), make_users(2)
    for user in users:
        inventory.reserve(drop, user)
    console = open_console(f"#/drops/{drop}")
    console.button("Cancel the drop").click()
    expect(console.dialog).to_contain_text("2 live holds can no longer be bought.")
    expect(console.button("Keep it")).to_be_focused()
    console.page.keyboard.press("Enter")
    expect(console.dialog).to_be_hidden()
    assert inventory.get_drop(drop).state == "OPEN"
    console.button("Cancel the drop").click()
    console.dialog.get_by_role("button", name="Cancel the drop").click()
    expect(console.page.get_by_test_id("status")).to_have_text("Cancelled")
    for action in ("Pause", "Restock", "Cancel the drop"):
        expect(console.button(action)).to_be_hidden()


def test_a_restock_moves_units_once_and_says_what_it_will_do(channel, database, make_drop, make_users, open_console):
    drop, users = make_drop(sizes=[("S", 3), ("M", 4)]), make_users(2)
    inventory.reserve(drop, users[0], "M")
    inventory.purchase(inventory.reserve(drop, users[1], "M").id, users[1])
    console = open_console(f"#/drops/{drop}").allow(409, "/restock")
    console.button("Restock M").click()
    expect(console["Size"]).to_have_value("M")
    console["Units to add"].fill("10")
    kept = "One hold is live and 1 sold: these units stay where they are."
    expect(console.dialog).to_contain_text(f"2 on sale becomes 12. {kept}")
    console.dialog.get_by_role("button", name="Restock").dblclick()
    expect(console.dialog).to_be_hidden()
    assert database.stock(drop, "M") == (12, 1, 1)
    console.button(
        "Restock",
    ).click()
    console["Size"].select_option("S")
    console["Units to add"].fill("-4")
    console.dialog.get_by_role("button", name="Restock").click()
    expect(console.dialog.get_by_role("alert")).to_have_text("Only 3 units are on sale; the others are held or sold.")
    console["Units to add"].fill("-2")
    console.dialog.get_by_role("button", name="Restock").click()
    expect(console.dialog).to_be_hidden()
    assert (database.stock(drop, "S"), database.stock(drop, "M")) == ((1, 0, 0), (12, 1, 1))
    database.assert_conserved()


def test_purchases_are_saved_as_a_file_with_the_token_in_the_header(
    configure, database, make_drop, make_users, open_console, monkeypatch, tmp_path: Path
):
    configure(ADMIN_TOKEN="right-token")
    # Small parts, so that the file comes in three.
    monkeypatch.setattr(reports, "EXPORT_PAGE", 2)
    monkeypatch.setattr(api.admin, "PART_BYTES", 100)
    drop = make_drop(stock=9)
    for name in ("Zoë", "=1+1", "Ann", "Bob", "Cid"):
        buy(drop, inventory.create_user(name)[0].id)
    console = open_console(f"#/drops/{drop}").allow(401, "/api/admin/drops")
    console.faults().clear()
    console["Admin token"].fill("right-token")
    console.page.keyboard.press("Enter")
    with console.page.expect_download() as started:
        console.button("Export CSV").click()
    file = started.value
    file.save_as(tmp_path / file.suggested_filename)
    assert file.suggested_filename == f"purchases-of-drop-{drop}.csv"
    text = (tmp_path / file.suggested_filename).read_bytes().decode("utf-8-sig")
    assert text.startswith("id,timestamp,") and text.count("\r\n") == 6
    assert [line.split(",")[3] for line in text.splitlines()[1:]] == ["Zoë", "'=1+1", "Ann", "Bob", "Cid"]
    assert (tmp_path / file.suggested_filename).read_bytes().startswith(b"\xef\xbb\xbf")


def test_without_a_channel_the_console_goes_on(database, make_drop, make_users, open_console):
    drop, (user,) = make_drop(stock=5), make_users(1)
    console = open_console(f"#/drops/{drop}")
    expect(console.page.get_by_test_id("connection")).to_have_text("Updates every other second")
    inventory.reserve(drop, user)
    expect(console.figure("active")).to_have_text("1")


def test_a_drop_that_is_not_there_is_told(database, open_console):
    console = open_console("#/new")
    console.allow(404, "/api/drops/99")
    console.page.goto(console.url + "#/drops/99")
    expect(console.heading).to_have_text("No such drop")
    console.page.goto(console.url + "#/nowhere")
    expect(console.heading).to_have_text("Nothing here")
