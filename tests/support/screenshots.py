"""Pictures of the storefront's and the console's main states for the README, taken from a running shop.

`python -m tests.support.screenshots` starts a shop of its own; with the URL of a development shop it makes demo drops
there. Writes docs/images/*.png.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psycopg
from playwright.sync_api import Browser, Page, expect

from dev.soketi import Soketi
from tests.support.browser import Card, chromium, find_chromium
from tests.support.console_screenshots import photograph_console
from tests.support.servers import TEMPLATE, Gateway, ServerSet

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
BUYERS = ("Noor", "Mika", "Ines", "Tomás", "Yuki", "Adaeze")
WIDE: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 780}, "color_scheme": "dark"}
DATABASE = "screenshots"
SIZES = {"S": 6, "M": 9, "L": 1, "XL": 4}


@contextmanager
def own_shop() -> Iterator[str]:
    """The URL of a shop with servers and a database of its own."""
    server_set = ServerSet()
    servers = server_set.start()
    soketi = Soketi().start()
    try:
        with psycopg.connect(servers.direct_url("postgres"), autocommit=True) as admin:
            admin.execute(f"create database {DATABASE} template {TEMPLATE}")
        os.environ.update(
            HOLDFAST_ENV="development",
            DATABASE_URL=servers.pooled_url(DATABASE),
            DATABASE_URL_UNPOOLED=servers.direct_url(DATABASE),
            **soketi.env(),
        )
        gateway = Gateway()
        gateway.start()
        yield gateway.url
        gateway.stop()
    finally:
        soketi.stop()
        server_set.stop()


class Shop:
    """Demo drops and what demo buyers did with them, all made through the API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx2.Client(base_url=url, timeout=30)
        tag = f"{datetime.now(UTC):%H%M%S}"
        taken = {user["username"] for user in self._get("/api/users")["users"]}
        names = [name if name not in taken else f"{name} {tag}" for name in BUYERS]
        self.users = [self._post("/api/users", username=name)["user"]["id"] for name in names]
        soon = (datetime.now(UTC) + timedelta(hours=2, minutes=17)).isoformat()
        self.upcoming = self._drop(name="Fog Bell Parka", price=189, totalStock=40, dropStartTime=soon)
        self.sold_out = self._drop(name="Night Ferry, signed print", price=75, totalStock=3)
        self.tee = self._drop(name="Keel Tee", price=38, totalStock=120, maxPerUser=2)
        sizes = [{"size": size, "stock": stock} for size, stock in SIZES.items()]
        self.sized = self._drop(name="Halyard Shell Jacket", price=149.5, sizes=sizes, maxPerUser=2)

    def fill(self) -> None:
        *most, last = self.users[1:]
        for user in most[:3]:
            self._buy(self.sized, user, "M")
            self._buy(self.tee, user)
        self._reserve(self.sized, last, "L")
        for user in most[:2]:
            self._buy(self.sold_out, user)
        self._reserve(self.sold_out, last)

    def _reserve(self, drop: int, user: int, size: str | None = None) -> int:
        body = {"userId": user} | ({"size": size} if size else {})
        return int(self._post(f"/api/reserve/{drop}", **body)["reservation"]["id"])

    def _buy(self, drop: int, user: int, size: str | None = None) -> None:
        self._post(f"/api/purchase/{self._reserve(drop, user, size)}", userId=user)

    def _drop(self, **fields: Any) -> int:
        return int(self._post("/api/drops", **fields)["drop"]["id"])

    def _get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def _post(self, path: str, **body: Any) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()

    def close(self) -> None:
        self._http.close()


def take(browser: Browser, shop: Shop, name: str, look: dict[str, Any], user: int) -> None:
    """Three pictures of one shopper's way: the list with a hold, a drop that is sold out, the receipt."""
    page = browser.new_context(**look, locale="en-US", timezone_id="UTC").new_page()
    page.goto(f"{shop.url}/?user={user}")
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    jacket, print_ = Card(page, shop.sized), Card(page, shop.sold_out)
    jacket.size("M").check()
    jacket["reserve"].click()
    expect(jacket["hold"]).to_be_visible()
    page.wait_for_timeout(7000)  # so that the ring has something to show
    save(page, jacket, f"hold-{name}", whole_window=look is WIDE)
    print_.root.scroll_into_view_if_needed()
    expect(print_.root).to_contain_text("next hold ends in")
    save(page, print_, f"sold-out-{name}")
    jacket["purchase"].click()
    expect(jacket["receipt"]).to_be_visible()
    expect(jacket["feed"].get_by_role("listitem")).to_have_count(3)
    page.wait_for_timeout(1000)
    save(page, jacket, f"receipt-{name}")
    page.context.close()


def save(page: Page, card: Card, name: str, whole_window: bool = False) -> None:
    """A drop fills a phone; of a wide window the drop alone, or the window from its top."""
    path = IMAGES / f"{name}.png"
    if whole_window or (page.viewport_size or PHONE["viewport"])["width"] <= PHONE["viewport"]["width"]:
        top = "0" if whole_window else "card.getBoundingClientRect().top + scrollY - 12"
        card.root.evaluate(f"card => scrollTo(0, {top})")
        page.screenshot(path=path, animations="disabled")
    else:
        card.root.screenshot(path=path, animations="disabled")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def save_window(page: Page, name: str) -> None:
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    executable = find_chromium()
    if executable is None:
        sys.exit("error: no chromium on this machine")
    IMAGES.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 1:
        photograph(executable, sys.argv[1].rstrip("/"))
    else:
        with own_shop() as url:
            photograph(executable, url)


def photograph(executable: str, url: str) -> None:
    shop = Shop(url)
    with chromium(executable) as browser:
        shop.fill()
        take(browser, shop, "1440-light", WIDE, shop.users[0])
        take(browser, shop, "360-dark", PHONE, shop.users[4])
        photograph_console(browser, url, save_window)
    shop.close()


if __name__ == "__main__":
    main()
