"""The mutants of tests/mutants still fit the code, and a test notices two of them. `make mutants` runs them all."""

import pytest

from dev.npm import ROOT
from tests.mutants.mutants import MUTANTS
from tests.mutants.run import judge

# Quick ones: a rule of a lock, a deadline and an owner.
SAMPLE = ("a hold can be bought at its deadline", "anybody buys anybody's hold")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code_and_changes_it(mutant):
    assert mutant.fits(), f"not once in {mutant.file}: {mutant.old}"
    assert mutant.new != mutant.old
    assert all((ROOT / tests.split("::")[0]).exists() for tests in mutant.tests)


def test_there_are_mutants_enough_and_none_twice():
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len({(m.file, m.old, m.new) for m in MUTANTS}) == len(MUTANTS)


@pytest.mark.slow
@pytest.mark.xdist_group("heavy")
@pytest.mark.parametrize("name", SAMPLE)
def test_a_test_turns_red_when_a_rule_is_broken(name):
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == name]
    verdict = judge(mutant)
    assert verdict.red is not None and verdict.red.startswith(mutant.tests[0])
