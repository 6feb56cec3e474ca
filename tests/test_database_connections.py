"""A few warm connections for many requests: never more than the setting, and none that died costs a request."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2
import psycopg
import pytest

from dev.ports import wait_until
from lib import db, inventory, pool
from lib.errors import Busy
from tests.support.api import problem
from tests.support.database import Database
from tests.support.outage import waiting_backends

Configure = Callable[..., None]
MakeDrop = Callable[..., int]
MakeUsers = Callable[[int], list[int]]


def test_many_threads_share_no_more_connections_than_the_setting(database: Database, configure: Configure) -> None:
    configure(DATABASE_URL=database.direct_url, DATABASE_POOL_MAX="3")
    counting = (
        "select count(*) from pg_stat_activity where application_name = 'holdfast' and datname = current_database()"
    )
    most = 0
    with ThreadPoolExecutor(24) as threads:
        calls = [threads.submit(db.execute, "select pg_sleep(0.02)") for _ in range(72)]
        while not all(call.done() for call in calls):
            most = max(most, database.value(counting))
    for call in calls:
        call.result()
    assert 2 <= most <= 3


def test_one_request_after_another_uses_one_connection(
    client: httpx2.Client, database: Database, configure: Configure
) -> None:
    configure(DATABASE_URL=database.direct_url)
    process = "select pg_backend_pid() as id, '' as username"
    first, *others = [db.fetch_one(inventory.User, process).id for _ in range(10)]
    assert others == [first] * 9


def test_a_request_whose_time_is_up_touches_no_connection(
    database: Database, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(DATABASE_URL=database.direct_url)
    process = "select pg_backend_pid() as id, '' as username"
    warm = db.fetch_one(inventory.User, process).id
    opened: list[str] = []
    monkeypatch.setattr(pool, "_open", opened.append)
    with pytest.raises(Busy), db.pool().connection(time.monotonic() - 1):
        pass
    assert (opened, db.fetch_one(inventory.User, process).id) == ([], warm)


def test_a_call_waits_for_a_connection_that_comes_free_in_time(
    client: httpx2.Client, database: Database, configure: Configure
) -> None:
    configure(DATABASE_POOL_MAX="1")
    with ThreadPoolExecutor(1) as threads:
        with db.pool().connection(time.monotonic() + 10):
            waiting: Future[httpx2.Response] = threads.submit(client.get, "/api/drops")
            time.sleep(0.2)
        assert waiting.result().status_code == 200


@pytest.mark.parametrize("noticed", [True, False], ids=["seen when taken", "seen when used"])
def test_a_backend_killed_while_idle_costs_no_request(
    client: httpx2.Client,
    database: Database,
    make_drop: MakeDrop,
    make_users: MakeUsers,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
    noticed: bool,
) -> None:
    (user,) = make_users(1)
    drop_id = make_drop(2)
    configure(DATABASE_URL=database.direct_url)
    assert client.get("/api/drops").status_code == 200
    if not noticed:  # as when it dies between the look and the call
        monkeypatch.setattr(pool, "_is_dead", lambda connection: False)
    kill_backends(database)
    answer = client.post(f"/api/reserve/{drop_id}", json={"userId": user})
    assert answer.status_code == 201
    assert database.stock(drop_id) == (1, 1, 0)


def test_a_call_that_died_is_repeated_once_and_not_for_ever(
    client: httpx2.Client, database: Database, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(DATABASE_URL=database.direct_url)
    client.get("/api/drops")
    calls = []

    def dies(*arguments: object) -> list[object]:
        calls.append(arguments)
        kill_backends(database)
        raise psycopg.OperationalError("terminating connection due to administrator command")

    monkeypatch.setattr(pool.TimeLimitedConnection, "wait", dies)
    problem(client.get("/api/drops"), 503, "database_unavailable")
    assert 1 <= len(calls) <= 2


def test_a_backend_killed_in_mid_call_gives_a_right_answer_or_a_clear_503(
    client: httpx2.Client, database: Database, make_drop: MakeDrop, make_users: MakeUsers
) -> None:
    (user,) = make_users(1)
    drop_id = make_drop(1)
    with ThreadPoolExecutor(1) as threads, database.connect() as other, other.transaction():
        # A purchase waits for its reservation, which somebody else has locked.
        hold = inventory.reserve(drop_id, user)
        other.execute("select from reservations for update")
        waiting = threads.submit(client.post, f"/api/purchase/{hold.id}", json={"userId": user})
        assert wait_until(lambda: waiting_backends(database) != [], 10)
        for backend in waiting_backends(database):
            database.connection.execute("select pg_terminate_backend(%s)", [backend])
        other.execute("select 1")
    answer = waiting.result()
    if answer.status_code != 201:
        problem(answer, 503, "database_unavailable")
    assert client.post(f"/api/purchase/{hold.id}", json={"userId": user}).is_success
    assert database.stock(drop_id) == (0, 0, 1)


def test_the_pool_gives_its_places_back_whatever_happens(database: Database, configure: Configure) -> None:
    configure(DATABASE_POOL_MAX="2", DATABASE_TIMEOUT_MS="300")
    for _ in range(5):
        with pytest.raises(Busy):
            db.execute("select pg_sleep(1)")
        with pytest.raises(psycopg.Error):
            db.execute("select 1 / 0")
        with pytest.raises(psycopg.Error):
            db.execute("no sql")
    db.execute("select 1")


def test_a_connection_idle_for_longer_than_the_server_keeps_one_is_not_used(
    database: Database, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(DATABASE_URL=database.direct_url)
    process = "select pg_backend_pid() as id, '' as username"
    first = db.fetch_one(inventory.User, process).id
    monkeypatch.setattr(pool, "MAX_IDLE_SECONDS", 0.0)
    assert db.fetch_one(inventory.User, process).id != first


def kill_backends(database: Database) -> None:
    """End every connection of the functions to this database, and wait until they are gone."""
    ours = "from pg_stat_activity where application_name = 'holdfast' and datname = current_database()"
    database.connection.execute(f"select pg_terminate_backend(pid) {ours}")
    assert wait_until(lambda: database.value(f"select count(*) {ours}") == 0, 10)
