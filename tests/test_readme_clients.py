"""The README's clients of the channel run as they stand: pages, a React page, and a subscriber in Python."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from dev.npm import VENDOR, js_tools
from lib import events, inventory
from tests.support.browser import browser
from tests.support.servers import Gateway
from tests.test_readme import HERE, ROOT, demo, fenced, own_channel

__all__ = ["browser", "demo", "own_channel"]

pytestmark = pytest.mark.xdist_group("browser")


def block(info: str) -> str:
    """The one fenced block with this info string."""
    (text,) = [text for language, text in fenced() if language == info]
    return text


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """What `python3 -m http.server` serves from a folder, at another origin than the API."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def client_files(tmp_path: Path) -> Path:
    """A folder with drop-client.js and what belongs to it."""
    shutil.copy(ROOT / "public" / "drop-client.js", tmp_path)
    shutil.copytree(ROOT / "public" / "drop-client", tmp_path / "drop-client")
    return tmp_path


@pytest.fixture
def shop(demo: None, gateway: Gateway, client_files: Path) -> Callable[[str], Any]:
    """shop("drop-client"): my-shop/ of the README, as its two commands make it, with that page."""

    def make(name: str) -> Any:
        shutil.copy(VENDOR / "pusher.min.js", client_files)
        (client_files / "index.html").write_text(block(f"html {name}").replace(HERE, gateway.url))
        return site(client_files)

    return make


def test_the_page_with_drop_client_is_live_and_buys(shop: Callable[[str], Any], browser: Any) -> None:
    with shop("drop-client") as url, browser.new_page() as window:
        window.goto(url)
        expect(window.locator("#stock")).to_have_text("100")
        expect(window.locator("#state")).to_have_text("live")
        inventory.reserve(1, 2)
        events.deliver()
        expect(window.locator("#stock")).to_have_text("99")
        window.locator("#reserve").click()
        expect(window.locator("#stock")).to_have_text("98")
        window.locator("#buy").click()
        expect(window.locator("#message")).to_contain_text("Bought: purchase")
        expect(window.locator("#feed li")).to_have_text(["demo-01"])


def test_two_tabs_of_one_shopper_agree(shop: Callable[[str], Any], browser: Any) -> None:
    with shop("drop-client") as url, browser.new_context() as shopper:
        tabs = [shopper.new_page(), shopper.new_page()]
        for tab in tabs:
            tab.goto(url)
            expect(tab.locator("#state")).to_have_text("live")
        tabs[0].locator("#reserve").click()
        expect(tabs[0].locator("#message")).to_contain_text("Held until")
        held = tabs[0].locator("#message").text_content()
        tabs[1].locator("#reserve").click()  # the same hold, not a second one
        expect(tabs[1].locator("#message")).to_have_text(held)
        for tab in tabs:
            expect(tab.locator("#stock")).to_have_text("99")


def test_the_page_with_pusher_js_alone_is_live(shop: Callable[[str], Any], browser: Any) -> None:
    with shop("pusher-js") as url, browser.new_page() as window:
        window.goto(url)
        expect(window.locator("#stock")).to_have_text("100")
        hold = inventory.reserve(1, 2)
        events.deliver()
        expect(window.locator("#stock")).to_have_text("99")
        inventory.purchase(hold.id, 2)
        events.deliver()
        expect(window.locator("#feed li")).to_have_text(["demo-02"])


def test_the_react_page_is_live_and_reserves(demo: None, gateway: Gateway, client_files: Path, browser: Any) -> None:
    source = client_files / "page.jsx"
    source.write_text(block("jsx react").replace(HERE, gateway.url))
    # The libraries as npm has them; a bundler, as every React project has one.
    libraries = f"{ROOT / 'tests' / 'js' / 'node_modules'}{os.pathsep}{ROOT / 'node_modules'}"
    bundle = [js_tools() / "esbuild", source, "--bundle", "--jsx=automatic", f"--outfile={client_files / 'page.js'}"]
    subprocess.run([*bundle, "--log-level=warning"], env={**os.environ, "NODE_PATH": libraries}, check=True, timeout=60)
    (client_files / "index.html").write_text('<!doctype html><div id="root"></div><script src="page.js"></script>')
    with site(client_files) as url, browser.new_page() as window:
        faults: list[str] = []
        window.on("pageerror", lambda error: faults.append(str(error)))
        window.goto(url)
        expect(window.locator("b")).to_have_text("100")
        expect(window.locator("i")).to_have_text("live")
        inventory.reserve(1, 2)
        events.deliver()
        expect(window.locator("b")).to_have_text("99")
        window.get_by_role("button", name="Reserve").click()
        expect(window.get_by_role("status")).to_contain_text("Held until")
        expect(window.locator("b")).to_have_text("98")
        assert faults == []


def test_the_subscriber_in_python_prints_stock_and_buyers(demo: None, gateway: Gateway, tmp_path: Path) -> None:
    script = tmp_path / "subscriber.py"
    script.write_text(block("python subscriber").replace(HERE, gateway.url))
    command = [sys.executable, str(script), "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as subscriber:
        give_up = threading.Timer(60, subscriber.kill)  # then the lines end, and what was told is compared
        give_up.start()
        assert subscriber.stdout is not None and subscriber.stderr is not None
        told = [subscriber.stdout.readline()]
        hold = inventory.reserve(1, 2)
        events.deliver()
        told.append(subscriber.stdout.readline())
        inventory.purchase(hold.id, 2)
        events.deliver()
        told.append(subscriber.stdout.readline())
        give_up.cancel()
        subscriber.kill()
        assert subscriber.stderr.read() == ""
    assert told == ["100 left\n", "99 left\n", "demo-02 bought one\n"]
