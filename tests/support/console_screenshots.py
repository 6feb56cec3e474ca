"""Pictures of the admin console for the README: its list, its form, and a drop in the middle of its sale."""

import random
import threading
import time
from typing import Any

import httpx2
from playwright.sync_api import Browser, Page, expect

from tests.support.console import Console

WIDE: dict[str, Any] = {"viewport": {"width": 1440, "height": 1240}, "color_scheme": "light"}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 780}, "color_scheme": "dark"}
NAMES = (
    "Noor",
    "Mika",
    "Ines",
    "Tomás",
    "Yuki",
    "Adaeze",
    "Zoë",
    "Liv",
    "Olu",
    "Per",
    "Ana",
    "Kim",
    "Max",
    "Ida",
    "Eli",
)
SIZES = {"38": 8, "39": 14, "40": 18, "41": 16, "42": 10, "43": 6}
# Both from the start of the sale.
UNTIL_MANY_HOLD_SECONDS = 9.0
SALE_SECONDS = 23.0


class Sale:
    """A drop that opens now, and a crowd that taps, thinks, buys, lets go or walks away."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=30)
        self._chance = random.Random(11)
        self._done = threading.Event()
        self._users = [self._user(f"{name} {letter}.") for letter in "BDKLRT" for name in NAMES]
        sizes = [{"size": size, "stock": stock} for size, stock in SIZES.items()]
        made = self._post("/api/drops", name="Gale Runner, low", price=149.5, sizes=sizes, holdSeconds=14, maxPerUser=1)
        self.drop = int(made["drop"]["id"])
        self._threads = [threading.Thread(target=self._shop, args=(user,), daemon=True) for user in self._users]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()
        self._http.close()

    def _shop(self, user: int) -> None:
        arrives, thinks = self._chance.expovariate(1 / 8), self._chance.uniform(1.5, 16)
        size = self._chance.choices(list(SIZES), weights=list(SIZES.values()))[0]
        if self._done.wait(arrives):
            return
        held = self._http.post(f"/api/reserve/{self.drop}", json={"userId": user, "size": size})
        if held.status_code != 201 or self._done.wait(thinks):
            return
        hold = held.json()["reservation"]["id"]
        if self._chance.random() < 0.12:
            self._http.request("DELETE", f"/api/reservations/{hold}", json={"userId": user})
        else:
            self._http.post(f"/api/purchase/{hold}", json={"userId": user})

    def _user(self, name: str) -> int:
        """By this name, or by one like it where the shop has had this sale before."""
        answer = self._http.post("/api/users", json={"username": name})
        if answer.status_code == 409:
            answer = self._http.post("/api/users", json={"username": f"{name} {time.time_ns() % 10**6}"})
        return int(answer.raise_for_status().json()["user"]["id"])

    def _post(self, path: str, **body: Any) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()


def open_console(browser: Browser, url: str, look: dict[str, Any], view: str) -> Console:
    page = browser.new_context(**look, locale="en-US", timezone_id="Europe/Berlin").new_page()
    return Console(page, url).open(view)


def write_a_drop(console: Console) -> None:
    texts = {
        "Name": "Tideline Shell",
        "Price": "189",
        "Currency": "EUR",
        "Hold time": "120",
        "Limit for each buyer": "2",
    }
    for label, text in texts.items():
        console[label].fill(text)
    console.radio("Sizes").check()
    for number, (size, stock) in enumerate({"S": "12", "M": "20", "L": "16", "XL": "8"}.items(), 1):
        if number > 1:
            console.button("Add a size").click()
        console[f"Label of size {number}"].fill(size)
        console[f"Units of {size}"].fill(stock)
    console["Start"].fill("2026-12-04T10:00")
    console["Name"].focus()


def photograph_console(browser: Browser, url: str, save: Any) -> None:
    """`save(page, name)` writes a picture."""
    sale = Sale(url)
    live = open_console(browser, url, WIDE, f"#/drops/{sale.drop}")
    phone = open_console(browser, url, PHONE, f"#/drops/{sale.drop}")
    editor = open_console(browser, url, {**WIDE, "viewport": {"width": 1440, "height": 1000}}, "#/new")
    write_a_drop(editor)
    save(editor.page, "console-editor-1440-light")
    sale.start()
    phone.page.wait_for_timeout(UNTIL_MANY_HOLD_SECONDS * 1000)
    phone.button("Cancel the drop").click()
    expect(phone.dialog).to_contain_text("live holds can no longer be bought")
    save(phone.page, "console-cancel-360-dark")
    phone.button("Keep it").click()
    live.page.wait_for_timeout((SALE_SECONDS - UNTIL_MANY_HOLD_SECONDS) * 1000)
    expect(live.page.get_by_role("region", name="Purchases").locator("tbody tr")).not_to_have_count(0)
    save(live.page, "console-live-1440-light")
    _scroll_to_chart(phone.page)
    save(phone.page, "console-live-360-dark")
    listing = open_console(browser, url, {**WIDE, "viewport": {"width": 1440, "height": 680}}, "")
    expect(listing.page.locator("tbody tr")).not_to_have_count(0)
    save(listing.page, "console-list-1440-light")
    sale.stop()
    for console in (live, phone, editor, listing):
        console.page.context.close()


def _scroll_to_chart(page: Page) -> None:
    page.locator(".chart").evaluate("chart => scrollTo(0, chart.getBoundingClientRect().top + scrollY - 60)")
