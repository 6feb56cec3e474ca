"""Pictures of the storefront's and the console's main states for the README, taken from a running shop.

`python -m tests.support.screenshots` starts a shop of its own; with the URL of a development shop it makes demo drops
there. Writes docs/images/*.png. Text is in the system's own font: with fonts-roboto installed it looks as on a phone.
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
LIGHT_PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"}
DARK_PHONE = LIGHT_PHONE | {"color_scheme": "dark"}
DATABASE = "screenshots"
SIZES = {"8": 6, "9": 9, "10": 1, "11": 4}


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
        soon = (datetime.now(UTC) + timedelta(minutes=42)).isoformat()
        self.upcoming = self._drop(name="Fog Bell Parka", price=189, totalStock=40, dropStartTime=soon)
        self.sold_out = self._drop(name="Night Ferry, signed print", price=75, totalStock=3, holdSeconds=90)
        self.tee = self._drop(name="Keel Tee", price=38, totalStock=120, maxPerUser=2, holdSeconds=12)
        sizes = [{"size": size, "stock": stock} for size, stock in SIZES.items()]
        self.sized = self._drop(name="Yawl Low Runner", price=149.5, sizes=sizes, maxPerUser=2)

    def fill(self) -> None:
        *most, last = self.users[1:]
        for user in most[:3]:
            self._buy(self.sized, user, "9")
            self._buy(self.tee, user)
        self._reserve(self.sized, last, "10")
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


def save_window(page: Page, name: str) -> None:
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


class Camera:
    """One shopper's window, and the pictures taken of it."""

    def __init__(self, browser: Browser, shop: Shop, look: dict[str, Any], user: int, drop: int | None = None) -> None:
        self.page = browser.new_context(**look, locale="en-US", timezone_id="UTC").new_page()
        query = f"?drop={drop}&user={user}" if drop else f"?user={user}"
        # Twice: at the first visit the page does not wait for its display face.
        for _ in range(2):
            self.page.goto(f"{shop.url}/{query}")
            expect(self.page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
        self.page.evaluate("document.fonts.ready")

    def card(self, drop: int) -> Card:
        return Card(self.page, drop)

    def save(self, name: str) -> None:
        self.page.wait_for_timeout(1000)  # until what moves has come to rest
        save_window(self.page, name)


def photograph_phone(browser: Browser, shop: Shop, user: int) -> None:
    """The way of a shopper, a drop after the other."""
    Camera(browser, shop, LIGHT_PHONE, user, shop.upcoming).save("upcoming-360-light")
    camera = Camera(browser, shop, DARK_PHONE, user, shop.sized)
    shoe = camera.card(shop.sized)
    shoe.size("9").check()
    shoe["reserve"].click()
    expect(shoe["hold"]).to_be_visible()
    camera.page.wait_for_timeout(6000)  # so that the ring has something to show
    camera.save("hold-360-dark")
    shoe["purchase"].click()
    expect(shoe["receipt"]).to_be_visible()
    camera.save("receipt-360-dark")
    camera = Camera(browser, shop, LIGHT_PHONE, user, shop.tee)
    camera.card(shop.tee)["reserve"].click()
    expect(camera.card(shop.tee)["hold"].locator("[data-urgent]")).to_be_visible(timeout=60_000)
    camera.save("last-seconds-360-light")
    camera = Camera(browser, shop, DARK_PHONE, user, shop.sold_out)
    expect(camera.card(shop.sold_out).root).to_contain_text("next hold ends in")
    camera.save("sold-out-360-dark")


def photograph_desktop(browser: Browser, shop: Shop, user: int) -> None:
    Camera(browser, shop, WIDE | {"color_scheme": "dark"}, user).save("list-1440-dark")
    camera = Camera(browser, shop, WIDE, user, shop.sized)
    shoe = camera.card(shop.sized)
    shoe.size("8").check()
    shoe["reserve"].click()
    expect(shoe["hold"]).to_be_visible()
    camera.page.wait_for_timeout(6000)
    camera.save("hold-1440-light")


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
        photograph_desktop(browser, shop, shop.users[0])
        photograph_phone(browser, shop, shop.users[4])
        photograph_console(browser, url, save_window)
    shop.close()


if __name__ == "__main__":
    main()
