"""The admin console in Chromium: windows that must stay free of errors, and what axe says about what they show."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from dev.npm import ROOT
from tests.support.browser import DESKTOP, Window, close_all
from tests.support.database import Database
from tests.support.servers import Gateway


class Console(Window):
    """A page of the console. `console["What"]` is a form field by its label."""

    def __init__(self, page: Page, url: str) -> None:
        super().__init__(page, url, None)
        self.url = f"{url}/admin"
        # Where a test has no channel, the server says so.
        self.allow(503, "/api/realtime")

    def open(self, view: str = "") -> "Console":
        """Open a view, such as "#/drops/5"."""
        self.page.goto(self.url + view)
        expect(self.page.locator("main")).not_to_have_attribute("aria-busy", "true")
        expect(self.page.locator("main [aria-busy=true]")).to_have_count(0)
        return self

    def __getitem__(self, label: str) -> Locator:
        return self.page.get_by_label(label, exact=True)

    def radio(self, name: str) -> Locator:
        return self.page.get_by_role("radio", name=name, exact=True)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    @property
    def heading(self) -> Locator:
        return self.page.get_by_role("heading", level=1)

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    def figure(self, name: str) -> Locator:
        return self.page.get_by_test_id(f"figure-{name}")

    def error(self, field: str) -> Locator:
        return self.page.get_by_test_id(f"error-{field}")

    def expect_accessible(self) -> None:
        """axe finds nothing, and nothing is wider than the window."""
        assert violations(self.page) == []
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.page.evaluate("innerWidth")


@cache
def _axe() -> str:
    return (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()


def violations(page: Page) -> list[str]:
    """What axe-core's rules of WCAG 2.2 A and AA, and its best practices, find wrong: rule, element and reason."""
    if not page.evaluate("Boolean(window.axe)"):
        # Not as a script of the page, which the page's policy forbids.
        page.evaluate(_axe() + "; undefined")
    found = page.evaluate(
        """async () => {
          const { violations } = await axe.run(document, { resultTypes: ['violations'] });
          return violations.flatMap(({ id, impact, nodes }) =>
            nodes.map(({ html, failureSummary }) => `${id} (${impact}): ${html.slice(0, 160)} ${failureSummary}`));
        }"""
    )
    return [str(line) for line in found]


@pytest.fixture
def open_console(browser: Browser, gateway: Gateway, database: Database) -> Iterator[Callable[..., Console]]:
    """open_console("#/new", viewport=PHONE, …): an open page of the console, without faults to the end of the test.

    `open_console(context=…)` opens one more tab of a window that is there.
    """
    windows: list[Console] = []

    def open_one(view: str = "", tab_of: Console | None = None, **context: Any) -> Console:
        options = {"viewport": DESKTOP, "locale": "en-US", "timezone_id": "UTC", **context}
        pages = tab_of.page.context if tab_of else browser.new_context(**options)
        windows.append(Console(pages.new_page(), gateway.url))
        return windows[-1].open(view)

    yield open_one
    close_all(windows)
