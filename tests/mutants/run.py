"""`make mutants`: breaks the code in one place after the other, in a copy of it, and sees that a test turns red.

Exit code 1 if a mutant survives or no longer fits the code, or if the tests are red without any. ARGS='--only deadline'
takes those with that word in their names; ARGS='--jobs 4' runs four at a time.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dev.npm import ROOT
from tests.mutants.mutant import Mutant
from tests.mutants.mutants import MUTANTS

COPIED = ("api", "lib", "scheduled", "sql", "dev", "tests", "public")
FILES = ("vercel.json", "pytest.ini", "package.json", "package-lock.json", "template.yaml", "README.md", ".env.example")
# Installed, not written: shared with the copy.
LINKED = ("node_modules", "dev/node_modules")
SECONDS = 300.0
# All of their tests together, before anything is broken.
UNBROKEN_SECONDS = 1800.0
LINE = "{:66} {:8} {:>5}  {}"


@dataclass(frozen=True)
class Verdict:
    mutant: Mutant
    red: str | None
    seconds: float


def copy_tree(to: Path) -> None:
    """The parts of the project that tests use, to be broken."""
    for name in COPIED:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for name in FILES:
        shutil.copy(ROOT / name, to / name)
    for name in LINKED:
        if (ROOT / name).exists():
            (to / name).symlink_to(ROOT / name)


def first_red(root: Path, tests: list[str], seconds: float = SECONDS) -> str | None:
    """The test that fails first in this tree; None if all pass. Raises RuntimeError if they cannot run."""
    line = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        result = subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"{' '.join(tests)} did not end in {seconds:.0f} s"
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", result.stdout, re.MULTILINE)
    if result.returncode == 1 and found is not None:
        return found[1]
    if result.returncode != 0:
        # Broken code that does not even load would prove nothing about the tests.
        raise RuntimeError(f"the tests did not run:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return None


def judge(mutant: Mutant) -> Verdict:
    """Which test notices this mutant."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-mutant-") as folder:
        copy_tree(Path(folder))
        mutant.apply(Path(folder))
        red = None
        for tests in mutant.tests:
            red = first_red(Path(folder), [tests])
            if red is not None:
                break
    return Verdict(mutant, red, time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants")
    parser.add_argument("--only", default="", help="a word in the names of the mutants to run")
    parser.add_argument("--part", default="1/1", help="2/3: the second third of them")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--skip-unbroken", action="store_true", help="do not run the tests on the code as it is first")
    chosen = parser.parse_args()
    part, parts = (int(number) for number in chosen.part.split("/"))
    wanted = [mutant for mutant in MUTANTS if chosen.only in mutant.name][part - 1 :: parts]
    lost = [mutant.name for mutant in wanted if not mutant.fits()]
    for name in lost:
        print(f"no longer fits the code: {name}")
    if lost or not wanted:
        return 1
    if not chosen.skip_unbroken:
        print("==> the tests, nothing broken", flush=True)
        red = first_red(ROOT, sorted({tests for mutant in wanted for tests in mutant.tests[:1]}), UNBROKEN_SECONDS)
        if red is not None:
            print(f"red without any mutant: {red}")
            return 1
    print(LINE.format("mutant", "", "s", "red"), flush=True)
    survived = 0
    with ThreadPoolExecutor(chosen.jobs) as pool:
        for verdict in pool.map(judge, wanted):
            survived += verdict.red is None
            told = "killed" if verdict.red else "SURVIVED"
            line = LINE.format(verdict.mutant.name, told, f"{verdict.seconds:.0f}", verdict.red or "")
            print(line.rstrip(), flush=True)
    print(f"{len(wanted)} mutants, {survived or 'none'} survived")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
