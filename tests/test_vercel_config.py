"""vercel.json, where the platform looks too late or not at all."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from dev.npm import ROOT
from dev.routing import find_functions
from dev.vercel_config import is_schedule, problems

CONFIG: dict[str, Any] = json.loads((ROOT / "vercel.json").read_text())
FUNCTIONS = find_functions(ROOT / "api")


def test_vercel_json_has_no_problem() -> None:
    assert problems(CONFIG, FUNCTIONS) == []
    assert [cron["path"] for cron in CONFIG["crons"]] == ["/api/cron/reap"]


def test_the_sweep_has_more_time_than_its_budget_and_all_others_less() -> None:
    durations = {pattern: options["maxDuration"] for pattern, options in CONFIG["functions"].items()}
    assert durations == {"api/cron/reap.py": 90, "api/*.py": 15}


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (lambda c: c["crons"][0].update(path="/api/cron/gone"), "the cron path /api/cron/gone has no function"),
        (lambda c: c["crons"][0].update(schedule="* * * *"), "not a cron schedule"),
        (lambda c: c["rewrites"][0].update(destination="/api/gone"), "goes to /api/gone, where nothing is"),
        (lambda c: c["rewrites"].insert(0, c["rewrites"].pop()), "is never reached"),
        (lambda c: c.update(rewirtes=[]), "the key 'rewirtes' is not one"),
        (lambda c: c["functions"]["api/*.py"].update(maxduration=5), "has the unknown option 'maxduration'"),
        (lambda c: c.pop("framework"), '"framework" must be null'),
        (lambda c: c.pop("outputDirectory"), '"outputDirectory" must be public'),
        (lambda c: c["functions"].pop("api/*.py"), "api/reserve.py is matched by no pattern"),
        (lambda c: c["functions"]["api/*.py"].update(excludeFiles="{tests,dev}/**"), "would bundle public, sql"),
    ],
)
def test_what_only_production_would_notice_is_noticed(break_it: Callable[[Any], object], complaint: str) -> None:
    broken = copy.deepcopy(CONFIG)
    break_it(broken)
    assert any(complaint in problem for problem in problems(broken, FUNCTIONS))


@pytest.mark.parametrize("text", ["* * * * *", "*/5 0-6 1,15 * *", "0 3 * * 0", "59 23 31 12 *"])
def test_a_schedule(text: str) -> None:
    assert is_schedule(text)


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "*/0 * * * *"],
)
def test_no_schedule(text: str) -> None:
    assert not is_schedule(text)


@pytest.mark.parametrize(
    "text",
    ["@daily", "* * * JAN *", "5-1 * * * *", "a * * * *", "*  * * * *", "0 0 1 * 1", "1,,2 * * * *", "-1 * * * *"],
)
def test_no_schedule_of_vercels(text: str) -> None:
    assert not is_schedule(text)
