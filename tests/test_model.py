"""The model of the lock rules (docs/MODEL.md): right as they are, and wrong as soon as one of them is broken.

`make model` checks it with more calls.
"""

import os
import shutil

import pytest

from tests.model.check import BROKEN, RIGHT, check

pytestmark = [
    pytest.mark.xdist_group("heavy"),
    # In CI it runs, and fails without spin.
    pytest.mark.skipif(
        "CI" not in os.environ and shutil.which("spin") is None, reason="spin is missing: apt-get install spin"
    ),
]
CALLS = "CALLS=3"


@pytest.mark.parametrize("who", RIGHT)
def test_no_order_of_steps_oversells_loses_a_unit_or_deadlocks(who):
    result = check([CALLS, *RIGHT[who]], "-O2")
    assert result.found is None, result.found
    assert result.states > 1_000_000


@pytest.mark.parametrize("rule", BROKEN)
def test_each_lock_rule_is_needed(rule):
    defines, expected = BROKEN[rule]
    result = check([CALLS, rule, *defines])
    assert result.found is not None and result.found.startswith(expected), result.found
    assert result.steps
