"""The list and the page of one drop: links, paging, what is not there, and drops that are out of the ordinary."""

import base64
import re
from decimal import Decimal

import httpx2
import pytest
from playwright.sync_api import Route, expect

from lib import events, inventory
from tests.support.browser import PHONE, browser, open_window
from tests.support.page_audit import layout_shift, watch_shifts

__all__ = ["browser", "open_window"]

pytestmark = pytest.mark.xdist_group("browser")

PICTURE = "https://pictures.example/shoe.png"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
MISSING = 987_654
# The page looks for a missing drop after 1.5 s.
LOOKED_AFTER_MS = 2500
IS_WHOLE = "element => element.scrollWidth <= element.clientWidth"


def test_a_drops_link_shows_it_alone_and_asks_for_nothing_else(channel, make_drop, make_users, open_window):
    drop, other, (ann,) = make_drop(name="Deck Shoe"), make_drop(), make_users(1)
    window = open_window(ann, go=False, drop=drop)
    asked: list[str] = []
    window.page.on("request", lambda request: asked.append(request.url))
    window.open().card(drop).expect_stock(5)
    expect(window.card(other).root).to_have_count(0)
    assert not [url for url in asked if re.search(r"/api/drops(\?|$)", url)]


def test_from_the_list_to_a_drop_and_back(channel, make_drop, make_users, open_window):
    drops, (ann,) = [make_drop(name=f"Drop {number}") for number in range(6)], make_users(1)
    window = open_window(ann, viewport=PHONE)
    page, last = window.page, window.card(drops[0])
    last["reserve"].click()
    expect(last["hold"]).to_be_visible()
    link = last.root.get_by_role("link", name="Drop 0")
    link.click()
    expect(page.get_by_role("heading", level=1, name="Drop 0")).to_be_focused()
    expect(window.card(drops[1]).root).to_be_hidden()
    expect(last["hold"]).to_be_in_viewport()
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Drops")).to_be_visible()
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()
    page.go_forward()
    page.get_by_role("link", name="All drops", exact=False).last.click()
    expect(window.card(drops[1]).root).to_be_visible()


def test_the_button_that_asks_for_a_name_shows_its_text_whole(channel, make_drop, open_window):
    make_drop()
    button = open_window(None, viewport=PHONE).page.get_by_test_id("user")
    expect(button).to_have_text("Choose a name")
    assert button.evaluate(IS_WHOLE)


def test_how_the_page_is_kept_up_to_date_is_said_whole_on_a_phone(make_drop, open_window):
    make_drop()
    page = open_window(None, "polling", viewport=PHONE, go=False).allow(503, "/api/realtime").open("polling").page
    assert page.get_by_test_id("connection").evaluate(IS_WHOLE)


def test_a_link_to_share_names_the_drop_and_not_the_shopper(channel, make_drop, make_users, open_window):
    drop, (ann,) = make_drop(), make_users(1)
    window = open_window(ann, drop=drop, permissions=["clipboard-read", "clipboard-write"])
    window.page.evaluate("delete Navigator.prototype.share")
    window.page.get_by_test_id("share").click()
    expect(window.page.get_by_test_id("share")).to_have_text("Link copied")
    copied = window.page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{window.url.partition('?')[0]}?drop={drop}"


@pytest.mark.parametrize("drop", [987_654, 0])
def test_a_link_to_no_drop_says_so_and_leads_to_those_there_are(channel, make_drop, make_users, open_window, drop):
    there, (ann,) = make_drop(), make_users(1)
    window = open_window(ann, drop=drop, go=False).allow(404, f"/api/drops/{drop}")
    window.open()
    expect(window.page.get_by_text("There is no such drop.")).to_be_visible()
    window.page.get_by_role("link", name="See all drops").click()
    window.card(there).expect_stock(5)
    expect(window.page.get_by_text("There is no such drop.")).to_be_hidden()


def test_a_link_to_no_drop_is_looked_at_until_the_shop_answers(channel, make_users, open_window):
    window = open_window(make_users(1)[0], drop=MISSING, go=False)
    window.allow(404, f"/api/drops/{MISSING}").allow(503, f"/api/drops/{MISSING}")
    refused: list[Route] = []

    def refuse(route: Route) -> None:
        refused.append(route)
        route.fulfill(status=503)

    window.page.route(f"**/api/drops/{MISSING}", refuse)
    window.page.goto(window.url)
    window.page.wait_for_timeout(LOOKED_AFTER_MS)
    assert refused
    window.page.unroute(f"**/api/drops/{MISSING}")
    expect(window.page.get_by_text("There is no such drop.")).to_be_visible()


def test_a_link_to_no_drop_that_is_left_at_once_and_opened_again_says_so(channel, make_drop, make_users, open_window):
    there = make_drop()
    window = open_window(make_users(1)[0]).allow(404, f"/api/drops/{MISSING}")
    window.card(there).expect_stock(5)
    window.page.evaluate(f"history.pushState(null, '', location.search + '&drop={MISSING}')")
    window.page.go_back()
    window.page.go_forward()
    expect(window.page.locator("#drops")).to_have_attribute("aria-busy", "true")
    window.page.go_back()
    window.page.wait_for_timeout(LOOKED_AFTER_MS)
    window.page.go_forward()
    expect(window.page.get_by_text("There is no such drop.")).to_be_visible()


def test_a_missing_drop_stays_missing_while_others_sell(channel, make_drop, make_users, open_window):
    there, (ann, bob) = make_drop(), make_users(2)
    window = open_window(ann, drop=MISSING, go=False).allow(404, f"/api/drops/{MISSING}")
    page, words = window.open().page, window.page.get_by_text("There is no such drop.")
    expect(words).to_be_visible()
    page.get_by_role("link", name="See all drops").click()
    window.card(there).expect_stock(5)
    page.go_back()
    expect(words).to_be_visible()
    inventory.reserve(there, bob)
    events.deliver()
    window.card(there).expect_stock(4)
    expect(page.locator("#drops")).not_to_have_attribute("aria-busy", "true")
    expect(page).to_have_title("No such drop · Holdfast")
    expect(words).to_be_visible()


def test_many_drops_come_a_dozen_at_a_time(channel, make_drop, make_users, open_window):
    drops, (ann,) = [make_drop(name=f"Drop {number}") for number in range(30)][::-1], make_users(1)
    window = open_window(ann)
    shown = window.page.locator("article:visible")
    expect(shown).to_have_count(12)
    more = window.page.get_by_test_id("more")
    expect(more).to_have_text("Show more drops (18)")
    more.press("Enter")
    expect(shown).to_have_count(24)
    expect(window.card(drops[12]).root.get_by_role("link", name="Drop 17")).to_be_focused()
    more.click()
    expect(shown).to_have_count(30)
    expect(more).to_be_hidden()
    assert [one.get_attribute("data-testid") for one in shown.all()] == [f"drop-{drop}" for drop in drops]


def test_a_new_drop_is_told_and_moves_nothing(channel, client, make_drop, make_users, open_window):
    for number in range(14):
        make_drop(name=f"Drop {number}")
    window = open_window(make_users(1)[0])
    made = client.post("/api/drops", json={"name": "Late arrival", "price": 20, "totalStock": 2}).json()["drop"]
    window.card(made["id"]).expect_stock(2)
    expect(window.page.locator("article:visible").last).to_have_attribute("data-testid", f"drop-{made['id']}")
    window.page.get_by_role("link", name="New: Late arrival").click()
    expect(window.page.get_by_role("heading", level=1, name="Late arrival")).to_be_visible()


def test_fifty_sizes_are_folded_in_the_list_and_whole_on_their_page(channel, make_drop, make_users, open_window):
    drop = make_drop(sizes=[(f"{size / 2:g}", 3) for size in range(20, 70)])
    window = open_window(make_users(1)[0], viewport=PHONE)
    card = window.card(drop)
    radios = card.root.get_by_role("radio")
    expect(radios).to_have_count(12)
    card["all-sizes"].click()
    expect(radios).to_have_count(50)
    expect(card.size("16")).to_be_focused()
    alone = open_window(make_users(1)[0], viewport=PHONE, drop=drop).card(drop)
    expect(alone.root.get_by_role("radio")).to_have_count(50)
    expect(alone["all-sizes"]).to_be_hidden()
    alone["size-34.5"].click()
    expect(alone["reserve"]).to_be_in_viewport(ratio=0.9)  # however many sizes there are
    alone["reserve"].click()
    expect(alone["hold"]).to_contain_text("Size 34.5 is held for you")


def test_odd_names_and_prices_fit_a_narrow_phone(channel, make_drop, make_users, open_window):
    odd = {
        make_drop(name="W" * 200, price=Decimal("9999999.99"), stock=1_000_000): "$9,999,999.99",
        make_drop(name="潮 Tee 🌊 限定版", price=Decimal("12000"), currency="JPY"): "¥12,000",
        make_drop(name="حذاء البحر", price=Decimal("0.5"), currency="KWD", sizes=[("ص" * 40, 2), ("كبير", 1)]): "KWD",
        make_drop(name="<b>&amp;</b>", price=Decimal("1"), sizes=[("a" * 40, 1)]): "$1",
    }
    ann = make_users(1)[0]
    window = open_window(ann, viewport=PHONE)
    for drop, price in odd.items():
        card = window.card(drop)
        expect(card.root.locator(".price")).to_contain_text(price)
        for radio in card.root.get_by_role("radio").all()[:1]:
            radio.check()
        card["reserve"].click()
        expect(card["hold"]).to_be_visible()
    assert window.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    expect(window.page.get_by_role("link", name="<b>&amp;</b>")).to_be_visible()
    for drop in odd:
        window.page.goto(f"{window.url}&drop={drop}")
        expect(window.card(drop)["hold"]).to_be_in_viewport()
        assert window.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        expect(window.card(drop)["purchase"]).to_be_in_viewport(ratio=0.9)


def test_a_slow_picture_takes_the_place_that_is_kept_for_it(channel, make_drop, make_users, open_window):
    drop = make_drop(image_url=PICTURE)
    window = open_window(make_users(1)[0], go=False)
    watch_shifts(window.page)
    waiting: list[Route] = []
    window.page.route(PICTURE, lambda route: waiting.append(route))
    media = window.open().card(drop).root.locator(".media")
    expect(media.locator(".flags")).to_be_visible()
    window.card(drop).expect_armed()  # nothing waits for a picture
    waiting[0].fulfill(body=PNG, content_type="image/png")
    expect(media.locator("img[data-loaded]")).to_have_css("opacity", "1")
    shift, what = layout_shift(window.page)
    assert shift == 0, what


def test_a_missing_picture_leaves_the_flags(channel, make_drop, make_users, open_window):
    drop = make_drop(image_url=PICTURE)
    window = open_window(make_users(1)[0], go=False).allow(404, PICTURE)
    window.page.route(PICTURE, lambda route: route.fulfill(status=404))
    media = window.open().card(drop).root.locator(".media")
    expect(media.locator("img")).to_have_count(0)
    expect(media.locator(".flags")).to_be_visible()


def test_a_wrong_address_gets_a_page_of_the_shop(client: httpx2.Client, channel, gateway, open_window):
    answer = client.get("/no/such/page")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "script" not in answer.text
    window = open_window(go=False).allow(404, "/no/such/page")
    window.page.goto(f"{gateway.url}/no/such/page")
    window.page.get_by_role("link", name="See the drops").click()
    expect(window.page.get_by_text("No drops yet.")).to_be_visible()
