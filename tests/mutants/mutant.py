"""Deliberate breakages: each puts `new` in place of `old`, which must be in its file once, and some test must turn red.

`tests` are what is run to see that; the first that fails ends the run, so the likeliest stands first. When the code
changes, change `old` and `new` with it: tests/test_mutants.py says which no longer fit.
"""

from dataclasses import dataclass
from pathlib import Path

from dev.npm import ROOT

STOCK = "sql/functions.sql"
EXPIRY = "sql/functions_expiry.sql"
BOUGHT = "sql/functions_holds.sql"
DROPS = "sql/functions_drops.sql"
KEYS = "sql/functions_keys.sql"
BUYERS = "sql/functions_buyers.sql"
EVENTS = "sql/functions_events.sql"
AUDIT = "sql/functions_audit.sql"
SECURITY = "sql/functions_security.sql"
LOCKS = "tests/test_locks.py"
HOLDS = "tests/test_holds.py"
PROMISES = "tests/test_promises.py"
RESTOCK = "tests/test_restock.py"
OUTBOX = "tests/test_outbox.py"


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def fits(self, root: Path = ROOT) -> bool:
        """Whether the old text is in the file exactly once."""
        return (root / self.file).read_text().count(self.old) == 1

    def apply(self, root: Path) -> None:
        path = root / self.file
        path.write_text(path.read_text().replace(self.old, self.new))
