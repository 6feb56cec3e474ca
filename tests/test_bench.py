"""make bench, in small: every scenario runs on real servers and tells its figures; what it computes is right."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dev.npm import ROOT
from dev.pgbouncer import PgBouncer
from dev.ports import HOST
from tests.bench import __main__ as bench
from tests.bench import charts, page, pgbench, profile
from tests.bench.measure import Report, Target, interleave, percentile
from tests.bench.relay import relayed
from tests.bench.report import Run, save
from tests.bench.simulation import tables

# In CI both must be there: .ci/run installs them.
TOOLS = (shutil.which("wrk") is not None and PgBouncer.available()) or "CI" in os.environ


def results(out: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench", "--size", "tiny", "--out", str(out), *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.skipif(not TOOLS, reason="needs wrk and pgbouncer (apt-get install wrk pgbouncer)")
def test_every_scenario_measures_itself_beside_its_yardsticks(tmp_path: Path) -> None:
    found = results(tmp_path)
    assert list(found["scenarios"]) == list(bench.SCENARIOS)
    for name, scenario in found["scenarios"].items():
        figures = {figure["name"]: figure["median"] for figure in scenario["figures"]}
        assert figures, name
        assert scenario["size"] == "tiny"
    assert {chart.stem for chart in tmp_path.glob("*.svg")} == set(charts.CHARTS)
    proof = found["scenarios"]["refusals"]["data"]
    assert proof["wal_bytes"] == 0 and proof["transaction_id"] is None
    assert set(proof["lock_modes"]) <= {"AccessShareLock", "RowShareLock"}
    late = found["scenarios"]["sweep"]["data"]["late_seconds"]
    assert len(late) == 40 and min(late) >= 0
    # Simulating stands on these.
    parts = found["scenarios"]["cpu_parts"]["data"]
    assert all(parts[kind]["function_ms"] > 0 for kind in ("bare", "reserve", "refusal", "purchase", "drop"))


def test_a_target_is_judged_by_the_median_of_its_rounds() -> None:
    report = Report("x", "X")
    report.at_least("fast enough", 2.0, [30.0, 10.0, 20.0], [10.0, 10.0, 10.0])
    report.at_most("not too slow", 1.5, [30.0, 10.0, 20.0], [10.0])
    fast, slow = report.targets
    assert (fast.ratio, fast.is_met) == (2.0, True)
    assert (slow.ratio, slow.is_met) == (2.0, False)
    assert not Target("a hair below", [1.99], 2.0).is_met


def test_what_was_measured_at_full_size_stays_when_less_is_measured_later(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for size in ("full", "normal"):
        saved = save(path, Report("reads", "Reads"), Run(size, "abc", 1.0, 0.0), ["reads", "sweep"])
    assert list(saved["scenarios"]) == ["reads", "reads_full"]
    assert "make bench SCENARIO=reads SIZE=full`" in page.render(saved)


def test_what_pgbench_does_while_it_warms_up_does_not_count() -> None:
    summary = "number of transactions actually processed: 3000\nlatency average = 1.0 ms\ntps = 1500.0 (without …)\n"
    progress = "progress: 1.0 s, 1000.0 tps, lat 2.000 ms stddev 1.000, 0 failed\n"
    assert pgbench._after(1, summary, progress) == pgbench.Run(2000.0, 0.5)
    assert pgbench._after(0, summary, progress) == pgbench.Run(1500.0, 1.0)


def test_subjects_take_turns_and_none_always_goes_first() -> None:
    order: list[str] = []
    found = interleave({name: lambda name=name: order.append(name) for name in "abc"}, 2, lambda _: None)
    assert order == ["a", "b", "c", "b", "c", "a"]
    assert {name: len(samples) for name, samples in found.items()} == {"a": 2, "b": 2, "c": 2}


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]


def test_samples_count_for_the_part_whose_frame_is_innermost() -> None:
    text = (
        "run (uvicorn/server.py:1);app (fastapi/routing.py:2);fetch_one (lib/db.py:3);execute (psycopg/cursor.py:4) 5\n"
        "run (uvicorn/server.py:1);app (fastapi/routing.py:2);solve_dependencies (fastapi/dependencies/utils.py:3) 3\n"
        "run (threading.py:1);deliver (lib/events.py:2);fetch_one (lib/db.py:3) 2\n"
        "run (uvicorn/server.py:1) 1\n"
    )
    assert profile.sorted_into_parts(text) == Counter(database=5, validation=3, events=2, server=1)


def test_the_relay_takes_half_a_round_trip_each_way_and_keeps_order() -> None:
    with socket.create_server((HOST, 0)) as echo:
        threading.Thread(target=_echo_one, args=(echo,), daemon=True).start()
        with relayed(echo.getsockname()[1], 40.0) as port, socket.create_connection((HOST, port)) as client:
            began = time.monotonic()
            client.sendall(b"first")
            client.sendall(b"second")
            received = b""
            while len(received) < 11:
                received += client.recv(100)
            assert received == b"firstsecond"
            assert time.monotonic() - began >= 0.040


def _echo_one(server: socket.socket) -> None:
    # The relay's start is found by connecting to it: that connection comes here too, and says nothing.
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(100):
            connection.sendall(data)


def test_the_kept_page_and_charts_are_those_of_the_kept_results() -> None:
    kept = ROOT / "docs" / "bench"
    found = json.loads((kept / "results.json").read_text())
    assert {name.removesuffix("_full") for name in found["scenarios"]} == set(bench.SCENARIOS)
    assert (kept / "README.md").read_text() == page.render(found)
    assert {chart.stem for chart in kept.glob("*.svg")} == set(charts.CHARTS) & set(found["scenarios"])
    document = (ROOT / "docs" / "SCALE.md").read_text()
    simulated = json.loads((kept / "simulation.json").read_text())
    for name, table in simulated["tables"].items():
        assert tables.put_into(document, name, table) == document


def test_the_reference_simulation_knew_its_machine() -> None:
    simulated = json.loads((ROOT / "docs" / "bench" / "simulation.json").read_text())
    held = [check for check in simulated["checks"] if check["is_held"]]
    assert {check["name"].partition(":")[0] for check in held} == {"drain", "storm"}
    assert all(abs(check["error"]) <= 0.25 for check in held)
