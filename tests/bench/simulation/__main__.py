"""`make simulate`: what a drop of a million buyers needs, by discrete-event simulation.

Service times come from the benchmark's results. First it shows that the model knows the measured machine; exit code 1
if a prediction is off by more than a quarter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from dev.npm import ROOT
from tests.bench.simulation import inputs, outcome, tables, validate

UNITS = (100, 5_000, 50_000)
# What moves the limits, tried on the middle drop.
VARIANTS: dict[str, dict[str, Any]] = {
    "2 database processors": {"database_cores": 2},
    "4 poolers, 32 database processors": {"poolers": 4, "database_cores": 32},
    "1,000 warm instances": {"instances_at_start": 1_000},
}
SEED = 7
DOCUMENT = ROOT / "docs" / "SCALE.md"
KEPT = ROOT / "docs" / "bench"


def find_results(asked: Path | None) -> Path:
    """This machine's own results, else the reference run's."""
    for path in [asked] if asked else [ROOT / "bench" / "results.json", KEPT / "results.json"]:
        if path.exists() and "cpu_parts" in json.loads(path.read_text())["scenarios"]:
            return path
    raise SystemExit("error: no results of the benchmark; measure first with: make bench")


Run = tuple[str, int, dict[str, Any]]


def _simulate(
    runs: list[Run], assumed: dict[str, Any], crowd: inputs.Crowd, measured: inputs.Measured
) -> dict[str, outcome.Outcome]:
    """As many at once as there are processors; by name, in the order of `runs`."""
    began = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        waiting = {}
        for name, units, changes in runs:
            platform = inputs.platform(assumed, **changes)
            waiting[pool.submit(outcome.run, platform, crowd, measured, assumed["prices"], units, SEED)] = name
        for done in as_completed(waiting):
            print(f"    {waiting[done]} · {time.monotonic() - began:.0f} s", flush=True)
        return {name: done.result() for done, name in waiting.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--buyers", type=int, default=1_000_000)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "bench")
    parser.add_argument("--publish", action="store_true", help="on the kept results, into docs/SCALE.md and docs/bench")
    parser.add_argument("--quick", action="store_true", help="without the variants")
    options = parser.parse_args()
    if options.publish:
        options.results, options.out = KEPT / "results.json", KEPT
    path = find_results(options.results)
    results = json.loads(path.read_text())
    measured = inputs.Measured.of(results)
    print(f"==> does the model know the machine of {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}?")
    checks = validate.checks(results, measured, SEED)
    tables.print_checks(checks)
    assumed = inputs.load_inputs()
    crowd = inputs.crowd(assumed, buyers=options.buyers)
    runs: list[Run] = [(f"{units:,} units", units, {}) for units in UNITS]
    if not options.quick:
        variants = {**VARIANTS, "AWS Lambda": assumed["lambda"]}
        runs += [(f"{UNITS[1]:,} units, {name}", UNITS[1], changes) for name, changes in variants.items()]
    print(f"==> {options.buyers:,} buyers, {len(runs)} drops, some minutes")
    found = _simulate(runs, assumed, crowd, measured)
    tables.print_outcomes(found)
    options.out.mkdir(parents=True, exist_ok=True)
    told = tables.as_json(checks, found)
    (options.out / "simulation.json").write_text(json.dumps(told, indent=1) + "\n")
    if options.publish:
        text = DOCUMENT.read_text()
        for name, table in told["tables"].items():
            text = tables.put_into(text, name, table)
        DOCUMENT.write_text(text)
    print(f"\n{options.out / 'simulation.json'}")
    return 0 if all(check.is_met for check in checks if check.is_held) else 1


if __name__ == "__main__":
    sys.exit(main())
