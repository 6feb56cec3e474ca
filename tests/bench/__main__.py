"""`make bench`: what Holdfast does on this machine, each figure beside its yardsticks from the same run.

Writes results.json and charts to the folder bench/ (or --out). Scenarios that are not measured now keep the results of
an earlier run.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from dev.npm import ROOT
from dev.processes import StackError, guard
from tests.bench import charts, page, report
from tests.bench.cpu import Foreign
from tests.bench.size import SIZES
from tests.bench.stack import Stack

SCENARIOS = (
    "hot_drop",
    "refusals",
    "http_drop",
    "far_database",
    "purchases",
    "reads",
    "sweep",
    "events",
    "cpu_parts",
    "memory",
)


def load(name: str) -> ModuleType:
    return importlib.import_module(f"tests.bench.scenarios.{name}")


class Progress:
    """One line that changes on a terminal; elsewhere a line for each step."""

    def __init__(self, title: str) -> None:
        self._title, self._began = title, time.monotonic()

    def __call__(self, step: str) -> None:
        text = f"==> {self._title} · {time.monotonic() - self._began:.0f} s · {step}"
        if sys.stdout.isatty():
            print(f"\r\033[K{text[:110]}", end="", flush=True)
        else:
            print(text, flush=True)

    def end(self) -> None:
        if sys.stdout.isatty():
            print("\r\033[K", end="", flush=True)


def measure(names: list[str], size_name: str, out: Path, rounds: int | None = None) -> int:
    """Run scenarios; the number of targets that are not met."""
    size = SIZES[size_name]
    if rounds is not None:
        size = replace(size, rounds=rounds, http_rounds=rounds)
    print("==> Postgres, PgBouncer, soketi, users", flush=True)
    with Stack(size.users) as stack:
        for name in names:
            scenario = load(name)
            progress = Progress(scenario.TITLE)
            commit, began, foreign = report.commit(), time.monotonic(), Foreign()
            found = scenario.run(stack, size, progress)
            share = foreign.share()
            progress.end()
            run = report.Run(size_name, commit, time.monotonic() - began, share)
            results = report.save(out / "results.json", found, run, list(SCENARIOS))
            report.print_report(found, share)
    keys = [report.key(name, size_name) for name in names]
    report.print_summary(results, keys)
    charts.draw(results, out)
    (out / "README.md").write_text(page.render(results))
    print(f"\n{out}: results.json, README.md, charts", flush=True)
    return sum(not target["met"] for name in keys for target in results["scenarios"][name]["targets"])


def _names(text: str) -> list[str]:
    """The scenarios of "one,another"; all if it is empty."""
    names = [name for name in text.split(",") if name] or list(SCENARIOS)
    unknown = set(names) - set(SCENARIOS)
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(SCENARIOS)}")
    return names


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", type=_names, default=list(SCENARIOS), help="some alone, with commas between")
    parser.add_argument("--size", choices=list(SIZES), default="normal")
    parser.add_argument("--rounds", type=int, help="of each measurement, in place of 3")
    parser.add_argument("--out", type=Path, default=ROOT / "bench")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a target is not met")
    options = parser.parse_args()
    try:
        missed = measure(options.scenario, options.size, options.out, options.rounds)
    except StackError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    finally:
        guard.close()
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
