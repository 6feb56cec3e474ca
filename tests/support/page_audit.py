"""What a page is measured by: accessibility (axe-core), layout shift, and the bytes that it takes to open it."""

import gzip
from functools import cache
from pathlib import Path

from playwright.sync_api import Page, Response

ROOT = Path(__file__).resolve().parents[2]
# Everything that moves without the visitor's doing, added up (not by session windows: that is stricter).
WATCH_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  if (entry.hadRecentInput) return;
  window.shifts.push({ value: entry.value, what: entry.sources.map(({ node, previousRect, currentRect }) =>
    `${node?.className ?? node?.nodeName} ${JSON.stringify(previousRect)} -> ${JSON.stringify(currentRect)}`) });
})).observe({ type: 'layout-shift', buffered: true });
"""
# As a platform's edge does with text; fonts and pictures are compressed already.
COMPRESSED = ("text/", "application/javascript", "application/json", "application/manifest", "image/svg")


@cache
def _axe() -> str:
    return (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()


def axe_violations(page: Page) -> list[str]:
    """Every rule of axe-core that the page breaks as it is now, with the first element that does."""
    page.evaluate(_axe())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [f"{one['impact']} {one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


def watch_shifts(page: Page) -> None:
    """To be called before the page is opened."""
    page.add_init_script(WATCH_SHIFTS)


def layout_shift(page: Page) -> tuple[float, list[str]]:
    """The sum of all layout shifts so far, and what moved."""
    # One frame later, so that what has just been drawn is in it.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    shifts = page.evaluate("window.shifts")
    return sum(shift["value"] for shift in shifts), [str(shift["what"]) for shift in shifts]


class Traffic:
    """What a page loads over HTTP, by address: bytes of the bodies, text gzipped as a platform's edge does."""

    def __init__(self, page: Page) -> None:
        self._responses: list[Response] = []
        page.on("response", lambda response: self._responses.append(response))

    def bytes_by_path(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for response in self._responses:
            path = response.url.split("/", 3)[3]
            found[path] = found.get(path, 0) + _size(response)
        return found


def _size(response: Response) -> int:
    if response.status in (204, 304):
        return 0
    body = response.body()
    is_text = response.headers.get("content-type", "").startswith(COMPRESSED)
    return len(gzip.compress(body, 6)) if is_text else len(body)
