"""`make demo` against the local stack: a small crowd, what it counts, and that its audit notices what is wrong."""

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dev.demo import report
from dev.demo.crowd import Ledger
from dev.npm import ROOT
from dev.ports import random_free
from tests.e2e import ADMIN_TOKEN
from tests.support.database import Database
from tests.support.servers import Gateway


def start_demo(url: str, *arguments: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name != "ADMIN_TOKEN"}
    return subprocess.Popen(
        [sys.executable, "-m", "dev.demo", url, *arguments],
        cwd=ROOT, env={**kept, "ADMIN_TOKEN": ADMIN_TOKEN}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def shop(gateway: Gateway, channel: dict[str, str], configure: Callable[..., None]) -> str:
    configure(HOLDFAST_ENV="production", AUTH_MODE="trusted", ADMIN_TOKEN=ADMIN_TOKEN)
    return gateway.url


def test_a_crowd_buys_every_unit_and_every_figure_adds_up(shop: str, database: Database, tmp_path: Path) -> None:
    size = ["--buyers", "24", "--units", "5", "--hold-seconds", "2", "--opens-in", "1", "--seed", "7"]
    output, errors = start_demo(shop, *size, "--chart", str(tmp_path)).communicate(timeout=120)
    assert "BROKEN" not in output and "5 of 5" in output, output + errors
    assert database.value("select count(*) from purchases") == 5
    assert database.value("select sum(available) from stock_stripes") == 0
    (chart,) = tmp_path.glob("*.svg")
    assert "on sale, as viewers saw it" in "".join(ElementTree.parse(chart).getroot().itertext())  # noqa: S314 - just made here


def test_an_interrupted_demo_leaves_no_open_drop(shop: str, database: Database) -> None:
    demo = start_demo(shop, "--buyers", "3", "--units", "2", "--opens-in", "60")
    assert demo.stdout is not None
    while "watch it at" not in (line := demo.stdout.readline()):
        assert line, "it ended before the drop was made"
    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=30)
    assert demo.returncode == 130 and "Traceback" not in errors
    assert database.value("select state from drops") == "CANCELLED"


def test_a_shop_that_is_not_there_is_said_with_the_remedy() -> None:
    demo = start_demo(f"http://127.0.0.1:{random_free()}")
    _, errors = demo.communicate(timeout=30)
    assert demo.returncode == 2 and "make dev" in errors


def sold_out_drop(**changes: Any) -> dict[str, Any]:
    return {"soldCount": 2, "availableStock": 0, "totalStock": 2, "maxPerUser": 1, **changes}


def good_ledger() -> Ledger:
    return Ledger(holds={1, 2, 3}, purchases={1: 11, 2: 12}, buyer_of={11: 7, 12: 8}, lapsed={3})


def broken_rules(ledger: Ledger, drop: dict[str, Any]) -> list[str]:
    return [rule for rule, _, holds in report.audit(ledger, drop) if not holds]


def test_the_audit_passes_what_is_right() -> None:
    assert broken_rules(good_ledger(), sold_out_drop()) == []


def test_the_audit_notices_each_kind_of_wrong() -> None:
    lost, twice, greedy, astray = (good_ledger() for _ in range(4))
    del lost.purchases[2]
    lost.lapsed.add(2)
    twice.purchases[2] = 11
    greedy.buyer_of[12] = 7
    astray.holds.add(4)
    assert broken_rules(lost, sold_out_drop()) == ["each confirmed purchase is there, once"]
    assert broken_rules(twice, sold_out_drop()) == ["no purchase twice"]
    assert broken_rules(greedy, sold_out_drop()) == ["limit for each buyer kept"]
    assert broken_rules(astray, sold_out_drop()) == ["each hold ended one way"]
    assert broken_rules(good_ledger(), sold_out_drop(availableStock=1)) == ["every unit is in one place"]
    assert "never oversold" in broken_rules(good_ledger(), sold_out_drop(totalStock=1))
