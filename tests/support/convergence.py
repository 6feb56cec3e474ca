"""One trial: pages watch a drop in a storm of reserves while something breaks, and in the end they show the true stock.

In such a storm the stock only falls. So a page that shows more than it has shown before shows an older stock, whatever
its version numbers say.
"""

import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import httpx2

from dev.soketi import Soketi
from tests.support import channel_proxy
from tests.support.buyers import in_background
from tests.support.channel_proxy import ChannelProxy, Mischief
from tests.support.database import Database
from tests.support.outage import Proxy
from tests.support.viewer import Viewer

STOCK = 1000
PAGES = 2
# How long a trial looks on after the pages have the true stock: they must keep it.
STAYS_SECONDS = 1.0
# What stands for the delay of a page that never had the true stock.
NEVER_SECONDS = 99.0


class Storm:
    """Buyers who reserve over HTTP, one after the other, until stopped."""

    def __init__(self, client: httpx2.Client, drop_id: int, users: list[int], threads: int = 3) -> None:
        self._client, self._drop_id = client, drop_id
        self._stopped = threading.Event()
        self._last_sale = time.monotonic()
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
            self._last_sale = time.monotonic()
            sold += 1
            time.sleep(0.02)
        return sold

    def stop(self) -> float:
        """When the last unit was reserved (time.monotonic())."""
        self._stopped.set()
        self.sold = sum(running.result(60) for running in self._running)
        return self._last_sale


@dataclass
class Scene:
    """What there is to break: the pages, their ways to the shop and to the channel, and the channel itself."""

    soketi: Soketi
    shop: Proxy
    line: Proxy
    channel: ChannelProxy
    pages: list[Viewer]

    def networks(self) -> list[Proxy]:
        return [self.shop, self.line]


@dataclass(frozen=True)
class Kind:
    """A way to break it for `seconds`. `through_proxy`: the pages' events pass the proxy that knows events."""

    name: str
    seconds: float
    begin: Callable[[Scene, int], None]
    end: Callable[[Scene], None]
    through_proxy: bool = False


def kill(scene: Scene, number: int) -> None:
    scene.soketi.kill()


def start(scene: Scene) -> None:
    scene.soketi.start()


def cut(scene: Scene, number: int) -> None:
    """In turns: packets vanish, or every connection breaks and none can be made."""
    for network in scene.networks():
        if number % 2:
            network.break_off()
        else:
            network.silence()


def mend(scene: Scene) -> None:
    for network in scene.networks():
        network.resume()


def misbehave(how: Mischief) -> Callable[[Scene, int], None]:
    def begin(scene: Scene, number: int) -> None:
        scene.channel.mischief = how

    return begin


def behave(scene: Scene) -> None:
    scene.channel.mischief = channel_proxy.honest


def sleep(scene: Scene, number: int) -> None:
    for page in scene.pages:
        page.freeze()
    for network in scene.networks():
        network.strand()


def wake(scene: Scene) -> None:
    for page in scene.pages:
        page.thaw()


KINDS = [
    Kind("soketi killed and restarted", 1.5, kill, start),
    Kind("network cut for 0.3 s", 0.3, cut, mend),
    Kind("network cut for 1.5 s", 1.5, cut, mend),
    Kind("network cut for 5 s", 5.0, cut, mend),
    Kind("half of the events lost", 3.0, misbehave(channel_proxy.losing), behave, through_proxy=True),
    Kind("events doubled", 3.0, misbehave(channel_proxy.doubling), behave, through_proxy=True),
    Kind("events reordered", 3.0, misbehave(channel_proxy.reordering), behave, through_proxy=True),
    Kind("lost, doubled and reordered", 3.0, misbehave(channel_proxy.everything), behave, through_proxy=True),
    Kind("asleep for 8 s, connections dead on waking", 8.0, sleep, wake),
]


@dataclass(frozen=True)
class Outcome:
    """What a trial showed. `delay_seconds`: from being back (or the last sale, if that was later) until the last of the
    pages had the true stock; `live_seconds`: until the last of them was live again."""

    kind: str
    number: int
    truth: int
    shown: list[int | None]
    older_shown: int
    delay_seconds: float
    live_seconds: float

    @property
    def ended_wrong(self) -> bool:
        return any(stock != self.truth for stock in self.shown)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run(kind: Kind, number: int, scene: Scene, storm: Storm, database: Database, drop_id: int) -> Outcome:
    """Break it, mend it, and see what the pages show in the end. In half of the trials, and with either way to cut a
    network, the storm ends while it is broken."""
    dice = random.Random(number)
    ends_early = number // 2 % 2 == 0
    for page in scene.pages:
        page.wait_until(lambda page=page: (page.stock() or 0) < STOCK - 5, "the storm's first sales")
    kind.begin(scene, number)
    mended_at = time.monotonic() + kind.seconds
    over = 0.0
    if ends_early:
        time.sleep(kind.seconds * dice.uniform(0.1, 0.9))
        over = storm.stop()
    time.sleep(max(0.0, mended_at - time.monotonic()))
    kind.end(scene)
    back = time.monotonic()
    if not ends_early:
        time.sleep(dice.uniform(0, 2))
        over = storm.stop()
    return judge(kind, number, scene, database.stock(drop_id)[0], max(back, over))


def judge(kind: Kind, number: int, scene: Scene, truth: int, since: float) -> Outcome:
    for page in scene.pages:
        page.wait_until(lambda page=page: page.stock() == truth or time.monotonic() > since + 20, "the true stock", 30)
        page.wait_until(lambda page=page: page.is_live() or time.monotonic() > since + 60, "live again", 90)
    time.sleep(STAYS_SECONDS)
    views = [[(at, view["availableStock"]) for at, view in page.views()] for page in scene.pages]
    arrived = [min((at for at, stock in seen if stock == truth), default=since + NEVER_SECONDS) for seen in views]
    return Outcome(
        kind.name,
        number,
        truth,
        [page.stock() for page in scene.pages],
        sum(later > earlier for seen in views for (_, earlier), (_, later) in itertools.pairwise(seen)),
        round(max(0.0, max(arrived) - since), 3),
        round(max(0.0, max(page.live_since() for page in scene.pages) - since), 3),
    )
