"""Deliberate breakages: each puts `new` in place of `old`, which must be in its file once, and some test must turn red.

`tests` are what is run to see that; the first that fails ends the run, so the likeliest stands first. When the code
changes, change `old` and `new` with it: tests/test_mutants.py says which no longer fit.
"""

from tests.mutants.mutant import Mutant
from tests.mutants.of_holds import EXPIRE, RESERVE
from tests.mutants.of_the_rest import PURCHASE, PYTHON, RELEASE, SHOP, TOLD

MUTANTS: list[Mutant] = [*RESERVE, *EXPIRE, *PURCHASE, *RELEASE, *SHOP, *TOLD, *PYTHON]
