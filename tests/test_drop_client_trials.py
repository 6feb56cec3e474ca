"""Pages converge, whatever breaks: one trial of each kind here; `make trials` runs many and looks at their times."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from dev.soketi import Soketi
from tests.support import convergence
from tests.support.channel_proxy import ChannelProxy
from tests.support.convergence import KINDS, PAGES, STOCK, Kind, Scene, Storm
from tests.support.database import Database
from tests.support.outage import Proxy
from tests.support.viewer import Viewer

TRIALS = int(os.environ.get("HOLDFAST_TRIALS", "1"))
# Where `make trials` wants to have each outcome, a line of JSON.
LOG = os.environ.get("HOLDFAST_TRIALS_LOG")
Make = Callable[..., int]


@pytest.fixture(scope="module")
def mortal_soketi() -> Iterator[Soketi]:
    """A server of one's own, to kill."""
    with Soketi() as server:
        yield server


@pytest.fixture
def open_scene(
    client: httpx2.Client, channel: dict[str, str], mortal_soketi: Soketi, configure: Callable[..., None]
) -> Iterator[Callable[[Kind, int], Scene]]:
    """open_scene(kind, drop): pages that are live, with all that may be broken between them and the shop."""
    mortal_soketi.start()
    shop, line = Proxy(client.base_url.port or 80), Proxy(mortal_soketi.port)
    events = ChannelProxy(mortal_soketi.port)
    scene = Scene(mortal_soketi, shop, line, events, [])

    def open_one(kind: Kind, drop: int) -> Scene:
        way = events.port if kind.through_proxy else line.port
        configure(**{**mortal_soketi.env(), "PUSHER_CLIENT_PORT": str(way)})
        scene.pages += [Viewer(f"http://127.0.0.1:{shop.port}", drop) for _ in range(PAGES)]
        for page in scene.pages:
            page.wait_until(lambda page=page: page.is_live() and page.stock() is not None, "live")
        return scene

    yield open_one
    for page in scene.pages:
        page.close()
    for each in (shop, line, events):
        each.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(TRIALS))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_pages_end_with_the_true_stock_and_never_show_an_older_one(
    client: httpx2.Client,
    database: Database,
    make_drop: Make,
    make_users: Callable[[int], list[int]],
    open_scene: Callable[[Kind, int], Scene],
    kind: Kind,
    number: int,
) -> None:
    drop = make_drop(stock=STOCK, hold_seconds=3600)
    users = make_users(STOCK)
    scene = open_scene(kind, drop)
    storm = Storm(client, drop, users)
    # Each kind begins with another way to break and to end, so that one trial of each has them all.
    outcome = convergence.run(kind, KINDS.index(kind) + number, scene, storm, database, drop)
    if LOG:
        with Path(LOG).open("a") as log:
            log.write(json.dumps(outcome.as_dict()) + "\n")
    assert outcome.truth == STOCK - storm.sold
    assert not outcome.ended_wrong, outcome
    assert outcome.older_shown == 0, outcome
    # The contract says two seconds, which `make trials` looks at; a machine that runs other tests beside has six.
    assert outcome.delay_seconds < 6, outcome
