"""public/drop-client.js: its unit tests in Node, and that what it shows converges when the channel dies in a storm."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from dev.npm import js_tools, require_node
from dev.soketi import Soketi
from lib import inventory
from tests.support.buyers import in_background
from tests.support.viewer import Viewer

ROOT = Path(__file__).resolve().parent.parent

# The promise: the true stock within this time of the channel's being back (or of the last sale, if that is later).
CONVERGES_WITHIN_SECONDS = 2.0
# What a machine that runs other tests beside this one may add.
BUSY_MACHINE_SECONDS = 4.0
STOCK = 1000


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


class Storm:
    """Buyers who reserve over HTTP, one after the other, until stopped."""

    def __init__(self, client: httpx2.Client, drop_id: int, users: list[int], threads: int = 3) -> None:
        self._client, self._drop_id = client, drop_id
        self._stopped = threading.Event()
        self._running = [in_background(lambda i=i: self._run(users[i::threads])) for i in range(threads)]

    def _run(self, users: list[int]) -> int:
        sold = 0
        for user in users:
            if self._stopped.is_set():
                break
            answer = None
            while answer is None or answer.status_code == 503:  # a busy machine; repeating it takes no second unit
                answer = self._client.post(f"/api/reserve/{self._drop_id}", json={"userId": user})
            assert answer.status_code in (200, 201), answer.text
            sold += 1
            time.sleep(0.02)
        return sold

    def stop(self) -> int:
        """The number of units reserved."""
        self._stopped.set()
        return sum(running.result(30) for running in self._running)


@pytest.mark.parametrize("outage_seconds", [0.3, 1.5, 4])
def test_a_viewer_converges_when_soketi_dies_in_a_storm_of_reserves(
    client, database, make_drop, make_users, viewer_of, mortal_soketi, outage_seconds
):
    drop = make_drop(stock=STOCK)
    viewer = viewer_of(drop)
    storm = Storm(client, drop, make_users(STOCK))
    viewer.wait_until(lambda: viewer.stock() < STOCK - 5, "the storm's first sales")
    mortal_soketi.kill()
    time.sleep(outage_seconds)
    mortal_soketi.start()
    back = time.monotonic()
    time.sleep(2)  # longer than the first snapshots of a client that is back
    reserved = storm.stop()
    over = time.monotonic()
    expected = database.stock(drop)[0]
    assert expected == STOCK - reserved
    viewer.wait_until(lambda: viewer.stock() == expected, f"the true stock, {expected}")
    converged = viewer.views()[-1][0]
    assert converged - max(back, over) < CONVERGES_WITHIN_SECONDS + BUSY_MACHINE_SECONDS
    viewer.wait_until(lambda: viewer.states()[-1] == "live", "live again")
    assert_never_older(viewer, falls=True)
    assert viewer.stock() == expected


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


def assert_never_older(viewer: Viewer, falls: bool = False) -> None:
    """Versions never go back; where units only went out, neither did the stock ever rise."""
    views = [view for _, view in viewer.views()]
    versions = [view["version"] for view in views]
    assert versions == sorted(versions)
    if falls:
        stocks = [view["availableStock"] for view in views]
        assert stocks == sorted(stocks, reverse=True)
