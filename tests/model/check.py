"""`make model`: checks tests/model/stripes.pml in every order of its steps, with the rules right and each one broken.

Exit code 1 if the right rules fail, or if a broken one does not.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from dev.processes import StackError

MODEL = Path(__file__).with_name("stripes.pml")
SECONDS = 600.0
MEMORY_MB = 4000
# Deeper than any run of the model; spin says so if it is not.
DEPTH = 100_000

RIGHT = {
    "three buyers": [],
    "one buyer in two windows, and another": ["PEOPLE=2"],
}
# In spin's words, and in ours.
FAULTS = {
    "invalid end state": "deadlock",
    "assertion violated ((closes& ~(live))==0)": "a hold ends twice",
    "assertion violated ( !(good)|| !(late))": "bought past its deadline",
    "assertion violated (available[stripe]>0)": "a stripe below zero",
    "==2)": "oversold, or a unit is lost",
}
# What breaks, and what the check then finds. Two windows of one buyer make the deadlocks short.
BROKEN = {
    "WAIT_FOR_STRIPES": (["PEOPLE=2"], "deadlock"),
    "ROW_BEFORE_STRIPE": (["PEOPLE=2"], "deadlock"),
    "PURCHASE_UNLOCKED": ([], "a hold ends twice"),
    "DEADLINE_FIRST": ([], "bought past its deadline"),
    "CHOOSE_THEN_LOCK": ([], "a hold ends twice"),
    "STOCK_THEN_LOCK": ([], "a stripe below zero"),
    "RELEASE_UNCHECKED": ([], "a hold ends twice"),
}


@dataclass(frozen=True)
class Result:
    """`found`: what is wrong, and after how many steps; None if nothing is, in all `states`."""

    found: str | None
    states: int
    seconds: float
    steps: str


def require_tools() -> None:
    """Raise StackError if spin, or the C compiler that it needs, is missing."""
    for program in ("spin", "gcc"):
        if shutil.which(program) is None:
            raise StackError(f"{program} is missing; install it with: apt-get install spin gcc, or brew install spin.")


def check(defines: list[str], optimize: str = "-O0") -> Result:
    """Check the model with these names defined, up to the first thing that is wrong.

    Optimizing takes the compiler longer than a broken rule stands up.
    """
    flags = [f"-D{name}" for name in defines]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-model-") as folder:
        _run(["spin", *flags, "-a", str(MODEL)], folder)
        # SAFETY: no cycles are looked for. COLLAPSE: states take a third of the memory, and none is left out.
        limits = [f"-DMEMLIM={MEMORY_MB}", "-DSAFETY", "-DCOLLAPSE", "-w"]
        _run(["gcc", optimize, *limits, "-o", "pan", "pan.c"], folder)
        told = _run(["./pan", f"-m{DEPTH}"], folder)
        found = re.search(r"^pan:1: (.*)$", told, re.MULTILINE)
        steps = _run(["spin", *flags, "-t", "-p", "-k", "stripes.pml.trail", str(MODEL)], folder) if found else ""
    states = re.search(r"(\d+) states, stored", told)
    if states is None or ("Search not completed" in told and found is None) or "max search depth too small" in told:
        raise StackError(f"The check did not get to its end:\n{told}")
    return Result(_in_our_words(found[1]) if found else None, int(states[1]), time.monotonic() - began, steps)


def _in_our_words(found: str) -> str:
    ours = next((ours for theirs, ours in FAULTS.items() if theirs in found), found)
    depth = re.search(r"at depth (\d+)", found)
    return f"{ours} after {depth[1]} steps" if depth else ours


def _run(command: list[str], folder: str) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    if command[0] != "./pan" and result.returncode not in (0, 1):
        raise StackError(f"{command[0]} failed:\n{result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def main() -> int:
    parser = argparse.ArgumentParser(prog="make model")
    parser.add_argument("--calls", type=int, default=4, help="calls that the buyers make together (default 4)")
    parser.add_argument("--steps", metavar="RULE", choices=BROKEN, help="only break this rule, and print the steps")
    chosen = parser.parse_args()
    require_tools()
    calls = f"CALLS={chosen.calls}"
    if chosen.steps:
        print(check([calls, chosen.steps, *BROKEN[chosen.steps][0]]).steps)
        return 0
    good = True
    for name, defines in RIGHT.items():
        result = check([calls, *defines], "-O2")
        good &= result.found is None
        _print("right rules", name, result, "holds" if result.found is None else f"FAILS: {result.found}")
    for rule, (defines, expected) in BROKEN.items():
        result = check([calls, rule, *defines])
        as_expected = result.found is not None and result.found.startswith(expected)
        good &= as_expected
        _print("broken", rule, result, f"fails: {result.found}" if as_expected else f"NOT AS EXPECTED: {result.found}")
    return 0 if good else 1


def _print(kind: str, name: str, result: Result, verdict: str) -> None:
    print(f"{kind:12} {name:38} {result.states:>11,} states {result.seconds:6.1f} s  {verdict}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackError as error:
        sys.exit(f"error: {error}")
