"""What the storefront has to be, in every state: accessible, light, strict about scripts, and calm in a crowd."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from lib import events, inventory
from tests.support.browser import PHONE, browser, open_window
from tests.support.page_audit import Traffic, axe_violations

__all__ = ["browser", "open_window"]

pytestmark = pytest.mark.xdist_group("browser")

PUBLIC = Path(__file__).resolve().parent.parent / "public"
PAGES = ("index.html", "admin.html", "404.html")
MOST_BYTES = 100_000
STRICT = {"default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'"}

# Who draws the longest wait, and when their button was armed, by the page's own clock.
LAST_OF_THE_CROWD = """
Math.random = () => 0.999;
new MutationObserver(() => {
  const button = document.querySelector('[data-testid="reserve"]');
  if (button?.textContent.startsWith('Try for')) window.armedAt ??= performance.now();
}).observe(document, { subtree: true, childList: true, characterData: true });
"""


class Audit:
    """Collects what axe-core finds in each state that a test walks through."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.found: dict[str, list[str]] = {}

    def look(self, state: str) -> None:
        # A color that is on its way from one state to the next is none to be judged.
        self._page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {})))")
        self.found[state] = axe_violations(self._page)

    @property
    def broken(self) -> dict[str, list[str]]:
        return {state: found for state, found in self.found.items() if found}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_way_to_a_receipt(channel, make_drop, open_window, scheme):
    drop = make_drop(sizes=[("8", 3), ("9", 1)])
    urgent = make_drop(hold_seconds=9)
    window = open_window(drop=drop, viewport=PHONE, color_scheme=scheme, reduced_motion="reduce")
    page, card = window.page, window.card(drop)
    audit = Audit(page)
    audit.look("a drop")
    card["reserve"].click()
    audit.look("told to choose a size")
    card.size("8").check()
    card["reserve"].click()
    expect(page.get_by_role("dialog", name="Who is shopping?")).to_be_visible()
    audit.look("dialog")
    page.get_by_label("Your name").fill("Kim")
    page.get_by_role("button", name="Continue").click()
    expect(card["purchase"]).to_be_enabled()
    audit.look("held")
    card["purchase"].click()
    expect(card["receipt"]).to_be_visible()
    audit.look("receipt")
    page.get_by_role("link", name="All drops").last.click()
    window.card(urgent)["reserve"].click()
    expect(window.card(urgent)["hold"].locator("[data-urgent]")).to_be_visible()
    audit.look("urgent, in the list")
    window.card(drop)["feed"].scroll_into_view_if_needed()
    expect(window.card(urgent)["message"]).to_contain_text("Your hold ran out")
    audit.look("ran out")
    assert len(audit.found) == 7 and audit.broken == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_whatever_a_drop_is(channel, client, make_drop, make_users, open_window, scheme):
    soon, ended = datetime.now(UTC) + timedelta(hours=2), datetime.now(UTC) - timedelta(hours=1)
    ann, bob = make_users(2)
    upcoming, over = make_drop(start=soon), make_drop(start=ended - timedelta(hours=1), end=ended)
    make_drop(name="حذاء البحر")
    held, gone, paused, cancelled = [make_drop(stock=1, sizes=[("S", 1)]) for _ in range(4)]
    inventory.reserve(held, bob, "S")
    inventory.purchase(inventory.reserve(gone, bob, "S").id, bob)
    for drop, state in ((paused, "PAUSED"), (cancelled, "CANCELLED")):
        client.patch(f"/api/drops/{drop}", json={"state": state})
    events.deliver()
    window = open_window(ann, color_scheme=scheme, reduced_motion="reduce")
    for name in ("Soon", "Live", "Sold out", "Paused", "Ended", "Cancelled"):
        expect(window.page.get_by_test_id("status").get_by_text(name, exact=True).first).to_be_visible()
    audit = Audit(window.page)
    audit.look("the list")
    make_drop(name="Late arrival")
    events.deliver()
    expect(window.page.get_by_test_id("toast")).to_be_visible()
    audit.look("a new drop")
    for drop in (upcoming, over, held, gone, paused, cancelled):
        window.page.goto(f"{window.url}&drop={drop}")
        expect(window.card(drop)["status"]).to_be_visible()
        audit.look(f"drop {drop} alone")
    window.allow(404, "/api/drops/0")
    window.page.goto(f"{window.url}&drop=0")
    expect(window.page.get_by_text("There is no such drop.")).to_be_visible()
    audit.look("no such drop")
    window.allow(404, "/lost")
    window.page.goto(window.url.partition("?")[0] + "lost")
    audit.look("no such page")
    assert len(audit.found) == 10 and audit.broken == {}


def test_nothing_moves_for_who_asks_for_stillness(channel, make_drop, make_users, open_window):
    drop, (ann, bob) = make_drop(hold_seconds=9), make_users(2)
    window = open_window(ann, reduced_motion="reduce")
    card = window.card(drop)
    card["reserve"].click()
    expect(card["hold"].locator("[data-urgent]")).to_be_visible()
    inventory.reserve(drop, bob)
    events.deliver()
    card.expect_stock(3)
    assert window.page.evaluate("document.getAnimations().length") == 0


def test_a_screen_reader_hears_what_happens(channel, make_drop, make_users, open_window):
    drop, (ann, bob) = make_drop(stock=1, name="Deck Shoe"), make_users(2)
    window = open_window(ann)
    said = window.page.locator("#announcer")
    hold = inventory.reserve(drop, bob)
    events.deliver()
    expect(said).to_have_text("Deck Shoe: Sold out")
    inventory.release(hold.id, bob)
    events.deliver()
    expect(said).to_have_text("Deck Shoe: back in stock")
    window.card(drop)["reserve"].click()
    expect(said).to_have_text(re.compile(r"^Reserved\. (1:00|0:5\d) left to buy\.$"))
    window.card(drop)["purchase"].click()
    expect(said).to_have_text("Bought. It is yours.")


@pytest.mark.parametrize("alone", [True, False], ids=["a drop", "the list"])
def test_a_page_takes_less_than_100_kB_in_all(channel, make_drop, make_users, open_window, alone):
    """The whole first visit, data and pusher-js too: bodies as a platform's edge sends them (text gzipped)."""
    drops = [make_drop(sizes=[("8", 3), ("9", 1)], name=f"Drop {number}") for number in range(12)]
    window = open_window(make_users(1)[0], go=False, drop=drops[0] if alone else None)
    traffic = Traffic(window.page)
    window.open().card(drops[0]).expect_stock(4)
    window.page.wait_for_load_state("networkidle")
    loaded = traffic.bytes_by_path()
    assert {"app.js", "styles.css", "tokens.css", "vendor/pusher.min.js", "api/realtime"} <= set(loaded)
    assert sum(loaded.values()) < MOST_BYTES, sorted(loaded.items(), key=lambda item: -item[1])


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_inline_script_and_a_strict_policy(client, name):
    answer = client.get({"index.html": "/", "admin.html": "/admin"}.get(name, "/no/such/page"))
    header = answer.headers["content-security-policy"]
    assert "default-src 'self'" in header and "unsafe" not in header and "frame-ancestors 'none'" in header
    tags = _Tags(answer.text).tags
    (own,) = [values["content"] for tag, values in tags if values.get("http-equiv") == "Content-Security-Policy"]
    assert own is not None and "unsafe" not in own and "http:" not in own
    assert {f"{part.strip()}" for part in own.split(";")} >= STRICT - (
        {"script-src 'self'"} if name == "404.html" else set()
    )
    for tag, values in tags:
        assert tag != "style" and (tag != "script" or values.get("src", "").startswith("/")), tag
        assert not [attribute for attribute in values if attribute.startswith("on") or attribute == "style"], tag


def test_every_module_is_asked_for_at_once(client):
    """Without hints a browser finds the modules one level after the other, each a round trip of a phone's network."""
    hinted = {
        values["href"]
        for tag, values in _Tags((PUBLIC / "index.html").read_text()).tags
        if values.get("rel") == "modulepreload"
    }
    needed, waiting = set(), ["/app.js"]
    while waiting:
        path = waiting.pop()
        folder = path.rpartition("/")[0]
        for found in re.findall(
            r"""^(?:import|\} from|export \*)[^'"]*['"](\.\.?/[^'"]+)['"]""", client.get(path).text, re.M
        ):
            target = str(Path(f"{folder}/{found}").as_posix())
            target = re.sub(r"/\./", "/", re.sub(r"/[^/]+/\.\./", "/", target))
            if target not in needed:
                needed.add(target)
                waiting.append(target)
    assert hinted == needed and len(needed) > 10


def test_when_a_drop_opens_its_watchers_ask_the_shop_for_nothing(channel, make_drop, make_users, open_window):
    """Each knows the start and the shop's time: a thousand of them cost no request."""
    drop = make_drop(start=datetime.now(UTC) + timedelta(seconds=10))
    window = open_window(make_users(1)[0], drop=drop)
    card = window.card(drop)
    expect(card["reserve"]).to_have_text("Opens in 0:02")
    asked: list[str] = []
    window.page.on("request", lambda request: asked.append(request.url))
    card.expect_armed()
    expect(card["status"]).to_have_text("Live")
    assert asked == []


def test_when_a_hold_ends_its_watchers_are_armed_first_and_ask_spread_out(channel, make_drop, make_users, open_window):
    drop, (ann, bob) = make_drop(stock=1, hold_seconds=4), make_users(2)
    window = open_window(ann, go=False, drop=drop)
    window.page.add_init_script(LAST_OF_THE_CROWD)
    card = window.open().card(drop)
    inventory.reserve(drop, bob)
    events.deliver()
    card.expect_armed("Try for a returned one")
    card.expect_armed("Reserve")  # what it asked for in the end has swept the hold up
    armed_at, asked_at = window.page.evaluate(
        "[armedAt, performance.getEntriesByType('resource').filter((one) => one.name.includes('/api/drops/'))"
        ".map((one) => one.startTime).find((time) => time > armedAt - 500)]"
    )
    # A lower bound by the page's own clock: a slow machine only makes it longer.
    assert asked_at - armed_at > 1500
