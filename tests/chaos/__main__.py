"""`make chaos ARGS="--minutes 5 --seed 1"`: the storm, the faults, the table. Exit code 1 if a rule is broken."""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter

from dev.processes import StackError, say
from tests.chaos.run import Report, run_chaos


def table(report: Report) -> str:
    rows = [f"{'fault':38} {'times':>6}"]
    rows += [f"{kind:38} {count:6}" for kind, count in sorted(Counter(f.kind for f in report.faults).items())]
    rows += ["", f"{'figure':38} {'':>6}"]
    rows += [f"{name:38} {value:>10}" for name, value in report.figures().items()]
    rows += ["", f"{'rule':58} {'broken':>6}"]
    rows += [f"{check.rule:58} {check.breaches:6}  {check.examples}".rstrip() for check in report.checks]
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=None, help="the same order of faults and habits of buyers again")
    parser.add_argument("--buyers", type=int, default=24, help="people at once")
    parser.add_argument("--instances", type=int, default=3, help="processes with all functions")
    wanted = parser.parse_args()
    seed = wanted.seed if wanted.seed is not None else random.randrange(10**6)
    parts = f"{wanted.buyers} buyers, {wanted.instances} function processes"
    say(f"==> seed {seed}, {wanted.minutes:g} minutes, {parts}")
    try:
        report = run_chaos(wanted.minutes * 60, seed, wanted.buyers, wanted.instances)
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n" + table(report))
    verdict = "a rule is BROKEN" if report.broken() else "every rule holds"
    print(f'\nmake chaos ARGS="--minutes {wanted.minutes:g} --seed {seed}": {verdict}')
    return 1 if report.broken() else 0


if __name__ == "__main__":
    sys.exit(main())
