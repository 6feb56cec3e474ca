"""What a sale publishes: `make messages` runs tests/test_message_budget.py and prints the README's table."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dev.npm import ROOT
from tests.support.budget import GIVEN_BACK, SECONDS, UNITS

VIEWERS = 1000


def run(log: Path) -> int:
    """pytest's exit status."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/test_message_budget.py"]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "HOLDFAST_MESSAGES_LOG": str(log)}).returncode


def row(name: str, stock: int, purchases: int, *, folds: bool = True) -> str:
    """Each viewer is one more message for every publish that it subscribes to."""
    with_feed = (stock + purchases) * (VIEWERS + 1)
    without = f"{stock * (VIEWERS + 1) + purchases:,}" if folds else "\N{EN DASH}"
    cells = [name, f"{stock:,}", f"{purchases:,}", f"{stock + purchases:,}", f"{with_feed:,}", without]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "messages.jsonl"
        status = run(log)
        sales = [json.loads(line) for line in log.read_text().splitlines()]
    viewers = f"with {VIEWERS:,} viewers"
    heading = [f"{UNITS} units in {SECONDS:.0f} s", "stockUpdate", "newPurchase", "published"]
    print(f"\n| {' | '.join([*heading, viewers, f'{viewers} and `feed: false`'])} |")
    print("|---|---|---|---|---|---|")
    print(row("one message for each change", UNITS + 2 * GIVEN_BACK, UNITS, folds=False))
    for sale in sales:
        name = f"{sale['arrival']}, `STOCK_UPDATE_GAP_MS={sale['gapMs']}`"
        print(row(name, sale["stockUpdate"], sale["newPurchase"]))
    return status


if __name__ == "__main__":
    sys.exit(main())
