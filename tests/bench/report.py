"""The table on the terminal, and results.json."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dev.npm import ROOT
from dev.postgres import binary
from tests.bench.measure import Report

# More than this of the processors taken by other programs makes a run's figures doubtful.
QUIET_SHARE = 0.15


def number(value: float) -> str:
    """Three figures are enough: 12,300 · 123 · 1.23."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(low: float, high: float, rounds: int) -> str:
    """From the lowest round to the highest."""
    return "one round" if rounds == 1 else f"{number(low)} to {number(high)}"


def named(scenario: str, size: str) -> str:
    """What of the biggest shop is measured beside the usual run has a name of its own."""
    return f"{scenario}, full size" if size == "full" else scenario


def print_report(report: Report, foreign_share: float) -> None:
    print(f"\n{report.title}")
    names = [figure.name for figure in report.figures] + [target.name for target in report.targets]
    width = max(map(len, names), default=0)
    for figure in report.figures:
        rounds = spread(figure.low, figure.high, len(figure.samples))
        print(f"  {figure.name:{width}}  {number(figure.median):>9} {figure.unit:5}  {rounds:>18}")
    for target in report.targets:
        sign = "≥" if target.at_least else "≤"
        rounds = spread(min(target.samples), max(target.samples), len(target.samples))
        verdict = "met" if target.is_met else "NOT MET"
        judged = f"{number(target.ratio):>9} times  {rounds:>18}  {sign} {target.bound:g}  {verdict}"
        print(f"  {target.name:{width}}  {judged}")
    for note in report.notes:
        print(f"  · {note}")
    if foreign_share > QUIET_SHARE:
        print(
            f"  ! other programs took {foreign_share:.0%} of the processors meanwhile: measure again when it is quiet"
        )
    sys.stdout.flush()


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    postgres = subprocess.run([binary("postgres"), "--version"], capture_output=True, text=True, check=True)
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory) / 1e6, 1),
        "python": platform.python_version(),
        "postgres": postgres.stdout.strip().rpartition(" ")[2],
        "system": platform.system(),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def commit() -> str:
    """What is measured, as far as it was committed."""
    run = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return run.stdout.strip()


def load_results(path: Path) -> dict[str, Any]:
    """Those of earlier runs; scenarios measured now replace their own."""
    return json.loads(path.read_text()) if path.exists() else {}


def key(scenario: str, size: str) -> str:
    """Its name in the results: what was measured at full size stays beside the usual run, which is made more often."""
    return f"{scenario}_full" if size == "full" else scenario


@dataclass(frozen=True, slots=True)
class Run:
    """How a scenario was measured. `foreign_share`: of the processors, taken by other programs meanwhile."""

    size: str
    commit: str
    seconds: float
    foreign_share: float


def save(path: Path, report: Report, run: Run, order: list[str]) -> dict[str, Any]:
    """Put one scenario into results.json; returns the whole, its scenarios in the given order."""
    results = load_results(path)
    results["machine"] = machine()
    scenarios = results.get("scenarios", {})
    scenarios[key(report.scenario, run.size)] = {
        **report.as_json(),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": run.commit,
        "size": run.size,
        "seconds": round(run.seconds, 1),
        "foreign_share": round(run.foreign_share, 3),
    }
    keys = [key(name, size) for name in order for size in ("normal", "full")]
    results["scenarios"] = {name: scenarios[name] for name in keys if name in scenarios}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    return results


def print_summary(results: dict[str, Any], names: Sequence[str]) -> None:
    """Every target in one list."""
    print("\nTargets")
    for name in names:
        scenario = results["scenarios"].get(name, {"targets": [], "size": ""})
        for target in scenario["targets"]:
            sign = "≥" if target["at_least"] else "≤"
            verdict = "met    " if target["met"] else "NOT MET"
            title = named(target["name"], scenario["size"])
            print(f"  {verdict}  {number(target['ratio']):>6} {sign} {target['bound']:<5g} {title}")
