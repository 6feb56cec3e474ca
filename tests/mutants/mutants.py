"""All mutants."""

from tests.mutants.pages import PAGES
from tests.mutants.shop import PYTHON, RIGHTS, SHOP, TOLD
from tests.mutants.stock import EXPIRE, PURCHASE, RELEASE, RESERVE

MUTANTS = [*RESERVE, *EXPIRE, *PURCHASE, *RELEASE, *SHOP, *TOLD, *PYTHON, *RIGHTS, *PAGES]
