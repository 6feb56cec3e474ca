"""A function killed at the worst moment: what it committed is told by somebody else. And two that work side by side."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from dev.gateway import ROOT
from dev.ports import HOST, accepts, random_free, wait_until
from dev.processes import Child
from lib import inventory
from scheduled.reap import sweep
from tests.support.database import Database
from tests.support.outbox import Outbox

Make = Callable[..., Any]
LEASE_SECONDS = 5


class FunctionProcess:
    """All functions in a process of their own, with an environment of their own."""

    def __init__(self, database: Database, **environment: str) -> None:
        port = random_free()
        command = [sys.executable, "-m", "dev.gateway", str(port)]
        own = {"DATABASE_URL": database.url, "HOLDFAST_ENV": "development", **environment}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PUSHER_")}
        self.child = Child("functions", command, cwd=ROOT, env={**inherited, **own})
        assert wait_until(lambda: accepts(port), 30), self.child.last_words()
        # One for all: making a client reads every certificate there is.
        self.http = httpx2.Client(base_url=f"http://{HOST}:{port}", timeout=30)

    def kill(self) -> None:
        """SIGKILL."""
        if self.child.is_running():
            self.child.kill()

    def close(self) -> None:
        self.kill()
        self.http.close()

    def buy(self, drop: int, user: int) -> int:
        """The id of the purchase."""
        hold = self.post(f"/api/reserve/{drop}", user)["reservation"]["id"]
        return int(self.post(f"/api/purchase/{hold}", user)["purchase"]["id"])

    def post(self, path: str, user: int) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.post(path, json={"userId": user}).raise_for_status().json()
        return answer


@pytest.fixture
def start_functions(database: Database) -> Iterator[Callable[..., FunctionProcess]]:
    started: list[FunctionProcess] = []

    def start(**environment: str) -> FunctionProcess:
        started.append(FunctionProcess(database, **environment))
        return started[-1]

    yield start
    for functions in started:
        functions.close()


class StuckChannel:
    """Takes what is published and never answers: whoever publishes is in mid-delivery for as long as it waits."""

    def __init__(self) -> None:
        self._listening = socket.create_server((HOST, 0))
        self.port = self._listening.getsockname()[1]
        self.asked = threading.Event()
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            if connection.recv(1):
                self.asked.set()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)
        for connection in self._connections:
            connection.close()


@pytest.fixture
def stuck_channel() -> Iterator[StuckChannel]:
    stuck = StuckChannel()
    yield stuck
    stuck.close()


def test_what_a_function_committed_before_it_was_killed_in_mid_delivery_is_told_by_the_sweep(
    channel: dict[str, str],
    subscribe: Make,
    make_drop: Make,
    make_users: Make,
    database: Database,
    start_functions: Callable[..., FunctionProcess],
    stuck_channel: StuckChannel,
) -> None:
    drop, users = make_drop(10), make_users(3)
    viewer = subscribe(f"cache-drop-{drop}", f"drop-{drop}")
    functions = start_functions(
        **{
            **channel,
            "PUSHER_PORT": str(stuck_channel.port),
            "PUBLISH_TIMEOUT_MS": "30000",
            "EVENT_LEASE_SECONDS": "60",
        }
    )
    bought = [functions.buy(drop, user) for user in users]
    assert stuck_channel.asked.wait(5)
    functions.kill()
    leased = "select count(*) from outbox where leased_until > clock()"
    assert database.value(leased) > 0

    database.shift_clock(60.1)
    sweep_until_empty(database)

    assert_all_is_told(viewer, drop, bought, database)


def test_what_a_function_committed_just_before_it_was_killed_is_told_by_the_sweep(
    channel: dict[str, str],
    subscribe: Make,
    make_drop: Make,
    make_users: Make,
    database: Database,
    start_functions: Callable[..., FunctionProcess],
) -> None:
    drop, users = make_drop(200, hold_seconds=3600), make_users(150)
    viewer = subscribe(f"cache-drop-{drop}", f"drop-{drop}")
    functions = start_functions(**channel)

    def buy_until_killed(user: int) -> None:
        try:
            functions.buy(drop, user)
        except httpx2.HTTPError:
            return  # the answer never came; whether it was committed, the database knows

    with ThreadPoolExecutor(8) as threads:
        buyers = [threads.submit(buy_until_killed, user) for user in users]
        wait_until(lambda: database.value("select count(*) from purchases") > 30, 20)
        functions.kill()
        for buyer in buyers:
            buyer.result()
    database.shift_clock(LEASE_SECONDS + 0.1)
    sweep_until_empty(database)
    bought = [row[0] for row in database.rows("select id from purchases order by id")]
    assert 30 < len(bought) < 150

    assert_all_is_told(viewer, drop, bought, database)
    database.assert_conserved()


def sweep_until_empty(database: Database) -> None:
    give_up = time.monotonic() + 20
    while database.value("select count(*) from outbox") > 0 and time.monotonic() < give_up:
        sweep(0.5)


def assert_all_is_told(viewer: Any, drop: int, bought: list[int], database: Database) -> None:
    stock = database.stock(drop)[0]
    assert database.value("select count(*) from outbox") == 0
    viewer.wait_for(lambda _: {told["purchaseId"] for told in viewer.named("newPurchase")} == set(bought))
    viewer.wait_for(lambda _: [told["availableStock"] for told in viewer.named("stockUpdate")][-1:] == [stock])


@pytest.mark.slow
@pytest.mark.xdist_group("heavy")
def test_versions_of_a_drop_never_repeat_or_fall_with_two_processes(
    channel: dict[str, str],
    subscribe: Make,
    make_drop: Make,
    make_users: Make,
    database: Database,
    start_functions: Callable[..., FunctionProcess],
) -> None:
    drop, users = make_drop(200, hold_seconds=3600), make_users(200)
    Outbox(database).drain()
    viewer = subscribe(f"cache-drop-{drop}")
    fast = {**channel, "STOCK_UPDATE_GAP_MS": "20"}
    with ThreadPoolExecutor(2) as starters:
        both = list(starters.map(lambda _: start_functions(**fast), range(2)))

    def reserve(number: int) -> None:
        both[number % 2].post(f"/api/reserve/{drop}", users[number])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(reserve, range(200)))
    viewer.wait_for(lambda _: [told["availableStock"] for told in viewer.named("stockUpdate")][-1:] == [0])

    versions = [told["version"] for told in viewer.named("stockUpdate")]
    assert len(versions) > 1
    assert versions == sorted(set(versions))
    assert versions[-1] == inventory.get_drop(drop).version


def test_the_last_change_of_another_process_follows_within_a_second(
    channel: dict[str, str],
    subscribe: Make,
    make_drop: Make,
    make_users: Make,
    start_functions: Callable[..., FunctionProcess],
) -> None:
    """Its reply comes first; nobody asks for anything after it."""
    drop, users = make_drop(10), make_users(5)
    viewer = subscribe(f"cache-drop-{drop}")
    functions = start_functions(**channel)
    for user in users:
        functions.post(f"/api/reserve/{drop}", user)
    answered = time.time()
    told = viewer.wait_for(lambda event: event["event"] == "stockUpdate" and event["data"]["availableStock"] == 5)

    assert told["at"] - answered < 1
