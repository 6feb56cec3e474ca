"""The local stack: `make dev` as a process, and the servers that the other tests stand on."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from dev import sql_lint, stack
from dev.npm import ROOT
from dev.pgbouncer import PgBouncer
from dev.ports import HOST, is_free, random_free, wait_until
from dev.postgres import Postgres
from dev.processes import Child
from dev.soketi import Soketi

READY_SECONDS = 120.0  # a first run installs soketi
STOP_SECONDS = 10.0


class Dev:
    """`python -m dev` in a session of its own, as a terminal would start it, on data of its own."""

    def __init__(self, local: Path, **environment: str) -> None:
        self.port = random_free()
        self.lines: list[str] = []
        own = {"PORT": str(self.port), "HOLDFAST_LOCAL_DIR": str(local), **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dev"],
            cwd=ROOT,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(line.rstrip())

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_ready(self) -> None:
        done = wait_until(lambda: self.process.poll() is not None or "ready: " in self.output, READY_SECONDS, 0.1)
        assert done and "ready: " in self.output, self.output

    def wait_end(self) -> int:
        code = self.process.wait(READY_SECONDS)
        self._reader.join(STOP_SECONDS)
        return code

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.wait_end()


@pytest.fixture
def start_dev(tmp_path: Path) -> Iterator[Callable[..., Dev]]:
    started: list[Dev] = []

    def start(**environment: str) -> Dev:
        started.append(Dev(tmp_path / "local", **environment))
        return started[-1]

    yield start
    for dev in started:
        dev.end()


def descendants(pid: int) -> dict[int, str]:
    """Every process under `pid`, itself too: {id: start time and command}."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,lstart=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    found = {pid}
    for _ in rows:
        found |= {int(own) for own, parent, _ in rows if int(parent) in found}
    return {int(own): rest for own, _, rest in rows if int(own) in found}


def all_gone(processes: dict[int, str]) -> bool:
    running = {own: rest for pid in processes for own, rest in descendants(pid).items()}
    return not any(running.get(pid) == rest for pid, rest in processes.items())


@pytest.mark.xdist_group("dev")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_the_stack_serves_and_a_signal_leaves_no_process(start_dev: Callable[..., Dev], number: int) -> None:
    dev = start_dev()
    dev.wait_ready()
    status, body = dev.get("/api/drops")
    assert status == 200
    assert 1 in [drop["id"] for drop in json.loads(body)]
    assert dev.get("/vendor/pusher.min.js")[0] == 200
    assert dev.get("/api/no-such-route")[0] == 404
    processes = descendants(dev.process.pid)
    assert len(processes) >= 5
    os.killpg(dev.process.pid, number)  # as Ctrl-C does: to the whole foreground group
    started = time.monotonic()
    assert dev.wait_end() == 0, dev.output
    assert time.monotonic() - started < STOP_SECONDS
    assert all_gone(processes)


@pytest.mark.xdist_group("dev")
def test_a_second_run_keeps_the_data_and_kill_minus_nine_leaves_no_process(start_dev: Callable[..., Dev]) -> None:
    first = start_dev()
    first.wait_ready()
    assert "demo users and drops made" in first.output
    processes = descendants(first.process.pid)
    first.process.kill()
    assert wait_until(lambda: all_gone(processes), STOP_SECONDS, 0.1)
    second = start_dev()
    second.wait_ready()
    assert "data of an earlier run kept" in second.output


@pytest.mark.xdist_group("dev")
def test_a_part_that_dies_is_named_and_stops_everything(start_dev: Callable[..., Dev], tmp_path: Path) -> None:
    dev = start_dev()
    dev.wait_ready()
    processes = descendants(dev.process.pid)
    os.kill(int((tmp_path / "local/postgres/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    assert dev.wait_end() == 1
    assert "error: Postgres stopped by itself" in dev.output
    assert all_gone(processes)


@pytest.mark.xdist_group("dev")
def test_two_stacks_cannot_share_their_data(start_dev: Callable[..., Dev]) -> None:
    first = start_dev()
    first.wait_ready()
    second = start_dev()
    assert second.wait_end() == 1
    assert second.lines[0].startswith(f"error: Another make dev (process {first.process.pid}) already uses ")


def test_a_taken_port_is_one_sentence(start_dev: Callable[..., Dev]) -> None:
    with socket.create_server((HOST, random_free())) as taken:
        port = taken.getsockname()[1]
        dev = start_dev(PORT=str(port))
        assert dev.wait_end() == 1
    remedy = f"stop what uses it, or choose another: make dev PORT={port + 1}."
    assert dev.lines == [f"error: Port {port} is taken; {remedy}"]


def test_a_missing_node_is_one_sentence(start_dev: Callable[..., Dev], tmp_path: Path) -> None:
    dev = start_dev(PATH=str(tmp_path))
    assert dev.wait_end() == 1
    assert len(dev.lines) == 1
    assert dev.lines[0].startswith("error: Node is missing; install Node 18 or newer")


def test_a_port_that_is_no_number_is_one_sentence(start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(PORT="http")
    assert dev.wait_end() == 1
    assert len(dev.lines) == 1 and dev.lines[0].startswith("error: PORT is 'http'")


@pytest.mark.xdist_group("dev")
def test_a_changed_cron_secret_reaches_the_functions_and_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stack, "ROOT", tmp_path)  # whose .env it is
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("CRON_SECRET", raising=False)
    own = stack.Stack(random_free(), tmp_path / "local")
    try:
        for secret in ("first", "second"):
            (tmp_path / ".env").write_text(f"CRON_SECRET={secret}\n")
            own._reload({str(tmp_path / ".env")})
            own._sweeper._call()
    finally:
        if own._gateway is not None:  # not all of it: what stops the stack ends every server of this process
            own._gateway.stop()
    said = capsys.readouterr().out
    # They let it in both times, and have no database here.
    assert "sweep failed: it answered 503" in said and "it answered 401" not in said


def test_postgres_comes_back_with_its_data_after_kill_minus_nine(tmp_path: Path) -> None:
    with Postgres(tmp_path / "data") as postgres:
        with psycopg.connect(postgres.url()) as connection:
            connection.execute("create table kept as select 42 as answer")
        postgres.kill()
        pid_file = tmp_path / "data/postmaster.pid"
        # As in a container that starts over: the dead server's id belongs to somebody else now.
        pid_file.write_text(re.sub(r"^\d+", str(os.getpid()), pid_file.read_text()))
        postgres.start()
        with psycopg.connect(postgres.url()) as connection:
            assert connection.execute("select answer from kept").fetchone() == (42,)


# In CI it runs, and fails without a PgBouncer.
@pytest.mark.skipif(not PgBouncer.available() and "CI" not in os.environ, reason="PgBouncer is not installed")
def test_pgbouncer_pools_by_transaction_and_is_as_strict_as_neon(tmp_path: Path) -> None:
    with Postgres(tmp_path / "data") as postgres, PgBouncer(postgres) as pooler:
        postgres.create_database("another")
        with psycopg.connect(pooler.url("another"), autocommit=True, prepare_threshold=None) as connection:
            assert connection.execute("select current_database()").fetchone() == ("another",)
        with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
            psycopg.connect(pooler.url(), options="-c statement_timeout=1000")
        pid = pooler.pid
        pooler.restart()
        assert pooler.pid != pid
        psycopg.connect(pooler.url()).close()


def test_soketi_is_started_again_when_it_dies_but_not_when_it_was_killed() -> None:
    told: list[str] = []
    with Soketi(on_restart=told.append) as soketi:
        first = soketi.pid
        os.kill(first, signal.SIGKILL)
        assert wait_until(lambda: soketi.pid not in (0, first) and soketi.is_ready(), 20)
        assert wait_until(lambda: len(told) == 1, 5) and "started again" in told[0]
        soketi.kill()
        time.sleep(1)
        assert not soketi.is_running() and is_free(soketi.port)
        soketi.start()
        assert soketi.is_ready()
    assert is_free(soketi.port)


def test_a_child_that_ignores_sigterm_is_ended_with_what_it_started() -> None:
    child = Child("stubborn", ["sh", "-c", "trap '' TERM; sleep 60 & echo up; wait; sleep 60"])
    assert wait_until(lambda: "up" in child.tail, 10)
    processes = descendants(child.pid)
    child.stop(grace_seconds=0.3)
    assert wait_until(lambda: all_gone(processes), 5)


@pytest.mark.parametrize(
    "body", ["begin retrn 1; end", "begin update t set a = 1 wher b; end", "declare p_a int; begin return p_a; end"]
)
def test_the_sql_lint_reads_function_bodies(tmp_path: Path, body: str) -> None:
    path = tmp_path / "functions.sql"
    path.write_text(f"create function f(p_a int) returns int language plpgsql as $$ {body} $$;")
    assert re.search(r"functions\.sql:1: ERROR: ", sql_lint.parse([path])[0])
