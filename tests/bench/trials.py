"""Convergence trials: `make trials` (ARGS='--trials 5 --kind asleep' for some). Prints a table and writes it to
docs/CONVERGENCE.md.

Each trial is a run of the one test of tests/test_drop_client_trials.py: real Postgres, soketi, functions, pusher-js.
The outcomes are kept in .local/trials.jsonl; a kind that is run again replaces its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from dev.npm import ROOT
from tests.support.convergence import KINDS

LOG = ROOT / ".local" / "trials.jsonl"
PAGE = ROOT / "docs" / "CONVERGENCE.md"
PROMISED_SECONDS = 2.0
HEADER = [
    "kind",
    "trials",
    "wrong ends",
    "older stock shown",
    "median delay",
    "worst delay",
    "worst until live again",
]
Outcome = dict[str, Any]


def run(kinds: list[str], trials: int) -> int:
    """pytest's exit status."""
    kept = [outcome for outcome in outcomes() if outcome["kind"] not in kinds]
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("".join(json.dumps(outcome) + "\n" for outcome in kept))
    tests = [
        f"tests/test_drop_client_trials.py::test_pages_end_with_the_true_stock_and_never_show_an_older_one[{kind}-{number}]"
        for kind in kinds
        for number in range(trials)
    ]
    environment = {**os.environ, "HOLDFAST_TRIALS": str(trials), "HOLDFAST_TRIALS_LOG": str(LOG)}
    command = [sys.executable, "-m", "pytest", "-q", *tests]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def outcomes() -> list[Outcome]:
    return [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []


def row(kind: str, found: list[Outcome]) -> list[str]:
    delays = [outcome["delay_seconds"] for outcome in found]
    return [
        kind,
        str(len(found)),
        str(sum(any(stock != outcome["truth"] for stock in outcome["shown"]) for outcome in found)),
        str(sum(outcome["older_shown"] for outcome in found)),
        f"{statistics.median(delays):.2f} s",
        f"{max(delays):.2f} s",
        f"{max(outcome['live_seconds'] for outcome in found):.1f} s",
    ]


def table(found: list[Outcome]) -> str:
    by_kind = {kind.name: [outcome for outcome in found if outcome["kind"] == kind.name] for kind in KINDS}
    rows = [row(kind, some) for kind, some in by_kind.items() if some]
    lines = [HEADER, ["---", *["---:"] * (len(HEADER) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(found: list[Outcome]) -> str:
    return f"""# Convergence trials

Written by `make trials`. In each trial two pages, drop-client.js with real pusher-js, watch a drop of 1,000 units in a
storm of reserves over HTTP (three buyers at once). Something breaks between the pages and the shop, and is mended. In
half of the trials the storm ends while it is broken. The machine had {os.cpu_count()} cores, which everything shared.

{table(found)}

- **Wrong end**: a page that did not show the database's stock, within 20 s or for a second after.
- **Older stock shown**: in such a storm the stock only falls, so any rise on a page is an older stock.
- **Delay**: from being back (soketi ready, network mended, events passed on truly, device awake), or from the last sale
  if that was later, until both pages showed the true stock. Promised: {PROMISED_SECONDS:.0f} s.
- **Until live again**: the same, until the pages were on the channel. Until then they poll.

Ways to break it:

- soketi is killed with SIGKILL, and started again on its port after 1.5 s.
- A cut network lets nothing pass, HTTP nor channel; in every other trial it resets all connections instead and refuses
  new ones.
- Events are lost (one of two), doubled (again within half a second) and put out of order (each up to 0.75 s late) by a
  proxy that speaks WebSocket, for 3 s. The snapshots do not pass it.
- Asleep: the pages' processes are stopped, and meanwhile their connections die without a word.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make trials")
    parser.add_argument("--trials", type=int, default=20, help="trials of each kind")
    parser.add_argument("--kind", action="append", default=[], help="only kinds with this in their name")
    arguments = parser.parse_args()
    kinds = [kind.name for kind in KINDS if not arguments.kind or any(part in kind.name for part in arguments.kind)]
    status = run(kinds, arguments.trials)
    found = outcomes()
    print("\n" + table(found))
    Path(PAGE).write_text(page(found))
    slow = [outcome for outcome in found if outcome["delay_seconds"] > PROMISED_SECONDS]
    for outcome in slow:
        print(f"slow: {outcome}")
    return status or bool(slow)


if __name__ == "__main__":
    sys.exit(main())
