"""Chromium for tests: windows of separate shoppers, which must stay free of errors that a test did not announce."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Response, expect, sync_playwright

from tests.support.database import Database
from tests.support.servers import Gateway

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}
# Longer than anything on the page takes on a busy machine; reached only if it never happens.
PATIENCE_MS = 15_000
TELL_VIOLATIONS = """
addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
  console.error(`content security policy: ${violatedDirective} ${blockedURI}`));
"""


def find_chromium() -> str | None:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or (MAC_CHROME if Path(MAC_CHROME).exists() else None)


@contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """A headless browser with an empty profile of its own."""
    with tempfile.TemporaryDirectory(prefix="holdfast-home-") as home, sync_playwright() as playwright:
        # Crash handler and caches write to the home folder, which may not exist where tests run.
        environment: dict[str, str | float | bool] = {**os.environ, "HOME": home}
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS, env=environment)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module's tests. Not for the session: Playwright keeps an event loop running in the main
    thread, where another module's `asyncio.run` would fail."""
    executable = find_chromium()
    if executable is None:
        reason = f"no browser on this machine (looked for {', '.join(NAMES)}): install chromium to run this test"
        if os.environ.get("CI"):
            pytest.fail(reason)
        # Whoever tries the project need not install a browser for the other tests; CI must have one.
        pytest.skip(reason)
    expect.set_options(timeout=PATIENCE_MS)
    with chromium(executable) as running:
        yield running


class Card:
    """One drop on the page, by the data-testid of its parts: card["reserve"]."""

    def __init__(self, page: Page, drop_id: int) -> None:
        self.root = page.get_by_test_id(f"drop-{drop_id}")

    def __getitem__(self, part: str) -> Locator:
        return self.root.get_by_test_id(part)

    def size(self, label: str) -> Locator:
        """The radio button of a size."""
        return self[f"size-{label}"].get_by_role("radio")

    def expect_stock(self, available: int) -> None:
        expect(self["stock"]).to_have_attribute("data-available", str(available))

    def expect_armed(self, label: str = "Reserve") -> None:
        expect(self["reserve"]).to_have_text(label)
        expect(self["reserve"]).not_to_have_attribute("aria-disabled", "true")

    def expect_disarmed(self, label: str) -> None:
        expect(self["reserve"]).to_have_text(label)
        expect(self["reserve"]).to_have_attribute("aria-disabled", "true")


class Window:
    """One shopper's page in a context of its own: nothing is shared with other windows but the shop."""

    def __init__(self, page: Page, url: str, user: int | None, drop: int | None = None) -> None:
        self.page = page
        query = {name: value for name, value in (("drop", drop), ("user", user)) if value is not None}
        self.url = f"{url}/?{urlencode(query)}" if query else f"{url}/"
        self._allowed: list[tuple[int, str]] = []
        self._faults: list[str] = []
        page.add_init_script(TELL_VIOLATIONS)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._faults.append(f"uncaught: {error}"))
        page.on("requestfailed", self._on_failed_request)
        page.on("response", self._on_response)

    def open(self, connection: str = "live") -> "Window":
        self.page.goto(self.url)
        expect(self.page.get_by_test_id("connection")).to_have_attribute("data-state", connection)
        return self

    def card(self, drop_id: int) -> Card:
        return Card(self.page, drop_id)

    def another_tab(self) -> "Window":
        """A second tab of the same browser, at the same address; its faults count as this one's."""
        tab = Window(self.page.context.new_page(), "", None)
        tab.url, tab._faults, tab._allowed = self.url, self._faults, self._allowed
        return tab

    def allow(self, status: int, path: str) -> "Window":
        """A refusal that belongs to the test, or with status 0 a lost request; the browser itself writes each to its
        console."""
        self._allowed.append((status, path))
        return self

    def faults(self) -> list[str]:
        """Console errors, uncaught exceptions, failed requests and refusals that were not announced."""
        return self._faults

    def settled_faults(self) -> list[str]:
        """A copy, with all that the page has said so far."""
        if not self.page.is_closed():
            self.page.evaluate("undefined")  # its answer comes after them
        return self.faults().copy()

    def _is_allowed(self, url: str, status: int) -> bool:
        return any(path in url and status == code for code, path in self._allowed)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        # What it reports of a reply, _on_response judges; of a request without one, _on_failed_request.
        if message.text.startswith("Failed to load resource: "):
            return
        # What it reports of a socket names the address.
        if not any(status == 0 and path in message.text for status, path in self._allowed):
            self._faults.append(f"console {message.type}: {message.text}")

    def _on_failed_request(self, request: Request) -> None:
        # A page that is left or reloaded gives up what it was asking for.
        if request.failure != "net::ERR_ABORTED" and not self._is_allowed(request.url, 0):
            self._faults.append(f"failed: {request.method} {request.url} {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and not self._is_allowed(response.url, response.status):
            self._faults.append(f"{response.status}: {response.request.method} {response.url}")


def close_all(windows: Sequence[Window]) -> None:
    """Close them, and expect that none had a fault until now: of what closing cuts off, Chromium complains too."""
    faults = [fault for window in windows for fault in window.settled_faults()]
    for window in windows:
        window.page.context.close()
    assert faults == [], faults


@pytest.fixture
def open_window(browser: Browser, gateway: Gateway, database: Database) -> Iterator[Callable[..., Window]]:
    """open_window(user=7, connection="polling", drop=3, viewport=PHONE, …): a shopper's open page, of one drop if it
    is named; at the end it must be without faults. `open_window(…, go=False)` leaves it to the test to open it."""
    windows: list[Window] = []

    def open_one(
        user: int | None = None, connection: str = "live", go: bool = True, drop: int | None = None, **context: Any
    ) -> Window:
        options = {"viewport": DESKTOP, "locale": "en-US", "timezone_id": "UTC", **context}
        windows.append(Window(browser.new_context(**options).new_page(), gateway.url, user, drop))
        return windows[-1].open(connection) if go else windows[-1]

    yield open_one
    close_all(windows)
