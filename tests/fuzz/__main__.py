"""`make fuzz`: schemathesis against every function, all its checks on. Exit code 1 if anything is found.

Left out: use_after_free, for a released reservation can still be looked at, on purpose; and positive_data_acceptance,
in whose place hooks.py knows what a JSON schema cannot say.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dev.npm import ROOT
from tests.fuzz.target import SECRET, running

LEFT_OUT = "positive_data_acceptance,use_after_free"
# About 24 requests for each, with those of the other phases.
MAX_EXAMPLES = 1050
REQUEST_SECONDS = 15


@dataclass
class Found:
    """What one run came to: schemathesis' own report, how many requests it made, and what is wrong."""

    report: str
    requests: int
    problems: list[str]


def fuzz(max_examples: int, seed: int, *, show: bool = False) -> Found:
    """Run schemathesis on a shop of its own. `show`: print its progress as it goes."""
    with running() as target:
        line = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{target.url}/api/openapi.json",
            "--header", f"Authorization: Bearer {SECRET}", "--checks", "all", "--exclude-checks", LEFT_OUT,
            "--max-examples", str(max_examples), "--seed", str(seed), "--continue-on-failure",
            "--request-timeout", str(REQUEST_SECONDS), "--no-color",
        ]  # fmt: skip
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks"}
        result = subprocess.run(line, cwd=ROOT, env=environment, stdout=None if show else subprocess.PIPE, text=True)
        problems = [line[:500] for line in target.unforeseen()]
        requests = target.requests()
    report = result.stdout or ""
    if result.returncode != 0:
        problems.append(f"schemathesis ended with {result.returncode}:\n{_failures(report)}")
    return Found(report, requests, problems)


def _failures(report: str) -> str:
    """The part of a report that names what failed; all of it if there is none."""
    match = re.search(r"=+ FAILURES =+.*?(?==+ SUMMARY)", report, re.DOTALL)
    return match[0] if match else report[-4000:]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--max-examples", type=int, default=MAX_EXAMPLES, help="for each operation and phase")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    wanted = parser.parse_args()
    print(f"==> seed {wanted.seed}", flush=True)
    found = fuzz(wanted.max_examples, wanted.seed, show=True)
    print(f"\n{found.requests} requests; problems: {len(found.problems)}")
    for problem in found.problems:
        print(problem)
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
