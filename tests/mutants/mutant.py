"""One deliberate breakage, and where the code and the tests are that it is about."""

from dataclasses import dataclass
from pathlib import Path

from dev.npm import ROOT

STOCK = "sql/functions.sql"
DROPS = "sql/functions_drops.sql"
EVENTS = "sql/functions_events.sql"
AUDIT = "sql/functions_audit.sql"
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
