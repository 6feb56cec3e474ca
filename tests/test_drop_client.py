"""public/drop-client.js: its unit tests in Node, its types, and how it takes a channel or an answer that is lost.

That pages converge is in test_drop_client_trials.py.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

from dev.npm import js_tools, require_node
from dev.soketi import Soketi
from lib import inventory
from tests.support.channel_proxy import ChannelProxy
from tests.support.outage import Proxy
from tests.support.viewer import Viewer

ROOT = Path(__file__).resolve().parent.parent

SUPPORT = ROOT / "tests" / "support"


def test_the_unit_tests_in_node():
    tests = sorted(str(path) for path in (ROOT / "tests" / "js").glob("*.test.mjs"))
    assert tests
    run = subprocess.run([require_node(), "--test", *tests], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]


def test_editors_know_the_types_of_the_client():
    # usage.ts compiles against the JSDoc types, and so does the client itself, in the strictest mode.
    project = ROOT / "tests" / "js" / "types"
    run = subprocess.run([js_tools() / "tsc", "-p", project], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout[-8000:]


@pytest.fixture(scope="module")
def mortal_soketi() -> Iterator[Soketi]:
    """A server of one's own, to kill."""
    with Soketi() as server:
        yield server


@pytest.fixture
def viewer_of(
    client: httpx2.Client, channel: dict[str, str], mortal_soketi: Soketi, configure: Callable[..., None]
) -> Iterator[Callable[[int], Viewer]]:
    """viewer_of(drop): a viewer that is live over the mortal soketi, in place of the shared `channel`."""
    mortal_soketi.start()
    configure(**mortal_soketi.env())
    opened: list[Viewer] = []

    def open_one(drop_id: int) -> Viewer:
        viewer = Viewer(str(client.base_url), drop_id)
        opened.append(viewer)
        viewer.wait_until(lambda: viewer.states()[-1:] == ["live"] and viewer.stock() is not None, "live")
        return viewer

    yield open_one
    for viewer in opened:
        viewer.close()


def test_a_viewer_without_a_channel_polls_and_goes_live_by_itself_when_it_is_back(
    client, database, make_drop, make_users, viewer_of, mortal_soketi
):
    drop, users = make_drop(stock=20), make_users(10)
    viewer = viewer_of(drop)
    mortal_soketi.kill()
    viewer.wait_until(lambda: viewer.states()[-1] != "live", "the loss seen")
    holds = [inventory.reserve(drop, user) for user in users]
    viewer.wait_until(lambda: viewer.stock() == 10, "the stock by polling")
    mortal_soketi.start()
    viewer.wait_until(lambda: viewer.states()[-1] == "live", "live again")
    for hold in holds[:5]:
        client.post(f"/api/purchase/{hold.id}", json={"userId": hold.user_id})
    for hold in holds[5:]:
        client.request("DELETE", f"/api/reservations/{hold.id}", json={"userId": hold.user_id})
    viewer.wait_until(lambda: viewer.stock() == 15, "the returned units")
    assert database.stock(drop) == (15, 0, 5)
    assert_never_older(viewer)


def test_a_channel_that_sends_pages_away_leaves_them_polling_until_it_takes_them_again(
    client, make_drop, make_users, channel, configure
):
    # 4004 is what the hosted service says when the app is over its quota.
    proxy = ChannelProxy(int(channel["PUSHER_PORT"]))
    configure(**{**channel, "PUSHER_CLIENT_PORT": str(proxy.port)})
    drop, (ann, bob) = make_drop(stock=5), make_users(2)
    with Viewer(str(client.base_url), drop, realtimeMs=1000) as viewer:
        viewer.wait_until(lambda: viewer.is_live() and viewer.stock() == 5, "live")
        proxy.refuse(4004)
        viewer.wait_until(lambda: viewer.states()[-1] == "polling", "polling")
        client.post(f"/api/reserve/{drop}", json={"userId": ann})
        viewer.wait_until(lambda: viewer.stock() == 4, "the stock by polling")
        proxy.admit()
        viewer.wait_until(viewer.is_live, "live again")
        client.post(f"/api/reserve/{drop}", json={"userId": bob})
        viewer.wait_until(lambda: viewer.stock() == 3, "the stock by an event")
    proxy.close()


def test_a_pause_and_a_cancellation_show_on_every_open_page(client, make_drop, viewer_of):
    drop = make_drop(stock=3)
    pages = [viewer_of(drop), viewer_of(drop)]
    states = [page.states() for page in pages]
    for state, status in (("PAUSED", "PAUSED"), ("OPEN", "LIVE"), ("CANCELLED", "CANCELLED")):
        assert client.patch(f"/api/drops/{drop}", json={"state": state}).status_code == 200
        for page in pages:
            page.wait_until(lambda page=page, status=status: page.views()[-1][1]["status"] == status, status)
    assert [page.states() for page in pages] == states  # live all the time: no poll told them


def test_a_buyer_whose_every_answer_gets_lost_once_has_one_hold_and_one_purchase(
    client, database, make_drop, make_users
):
    drop, other, (ann,) = make_drop(stock=2), make_drop(stock=2), make_users(1)
    way = Proxy(client.base_url.port)
    with Caller(f"http://127.0.0.1:{way.port}") as buyer:
        way.lose_answers(1)
        held = buyer.call("reserve", drop, {"userId": ann})
        way.lose_answers(1)
        bought = buyer.call("purchase", held["reservation"]["id"], {"userId": ann})
        given_back = buyer.call("reserve", other, {"userId": ann})["reservation"]["id"]
        way.lose_answers(1)
        released = buyer.call("release", given_back, {"userId": ann})
        way.lose_answers(1)
        made = buyer.call("createUser", "ada")
    way.close()
    assert [answer["replayed"] for answer in (held, bought, released, made)] == [True] * 4
    assert database.stock(drop) == (1, 0, 1)
    assert database.statuses(other) == {"RELEASED": 1}
    assert database.value("select count(*) from users where username = 'ada'") == 1
    database.assert_conserved()


class Caller:
    """drop-client.js in a Node process, called from here."""

    def __init__(self, api: str) -> None:
        command = [require_node(), str(SUPPORT / "caller.mjs"), api]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self, method: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, *arguments]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)


def assert_never_older(viewer: Viewer) -> None:
    versions = [view["version"] for _, view in viewer.views()]
    assert versions == sorted(versions)
