"""The results as a page in Markdown, for who reads the reference run without running anything."""

from __future__ import annotations

from typing import Any

from tests.bench.charts import CHARTS
from tests.bench.report import QUIET_SHARE, named, number, spread

Found = dict[str, Any]


INTRODUCTION = """\
# What was measured

Written by `make bench` (for this folder: `make bench ARGS='--out docs/bench'`). Nothing here is a promise: each figure
stands beside its yardsticks of the same run, taken in turn, and only the ratios mean anything on another machine.

The machine: {processor}, {cores} cores for everything (client, functions, pooler, database, channel),
{memory_gb:.0f} GB, {system}; Python {python}, Postgres {postgres} with its default durability.

- *floor*: a plain insert by pgbench.
- *classic*: BEGIN, SELECT … FOR UPDATE on one row a drop, INSERT, UPDATE, COMMIT, from pgbench or from a FastAPI route
  (`tests/bench/classic.py`).
- *bare*: a FastAPI route that does `select 1`.
- Median of the rounds, and the lowest and highest of them. Ratios are taken round by round. "One round" is a figure
  that a scenario takes once, of many requests.

## Targets

| | ratio | target | lowest to highest |
|---|--:|--:|--:|
"""


def render(results: Found) -> str:
    lines = []
    for scenario in results["scenarios"].values():
        doubt = ", on a busy machine" if scenario["foreign_share"] > QUIET_SHARE else ""
        for target in scenario["targets"]:
            sign = "≥" if target["at_least"] else "≤"
            verdict = ("met" if target["met"] else "**not met**") + doubt
            title = named(target["name"], scenario["size"])
            rounds = spread(target["low"], target["high"], target["rounds"])
            lines.append(f"| {title} | {number(target['ratio'])} | {sign} {target['bound']:g}: {verdict} | {rounds} |")
    for name, scenario in results["scenarios"].items():
        lines += _scenario(name, scenario)
    return INTRODUCTION.format(**results["machine"]) + "\n".join(lines) + "\n"


def _scenario(name: str, scenario: Found) -> list[str]:
    command = f"make bench SCENARIO={name}"
    if scenario["size"] == "full":
        command = f"{command.removesuffix('_full')} SIZE=full"
    lines = ["", f"## {named(scenario['title'], scenario['size'])}", ""]
    if scenario["foreign_share"] > QUIET_SHARE:
        lines.append(
            "**Other programs had most of the machine meanwhile: an order of magnitude, to be measured again.**"
        )
        lines.append("")
    lines += [f"- {note}" for note in scenario["notes"]]
    day = scenario["measured"].partition("T")[0]
    lines.append(
        f"- `{command}`, {day}, commit {scenario['commit']}, size {scenario['size']}, "
        f"{scenario['seconds']:.0f} s; other programs took {scenario['foreign_share']:.0%} of the processors meanwhile"
    )
    if name in CHARTS:
        lines += ["", f"![{scenario['title']}]({name}.svg)"]
    lines += ["", "| | median | | lowest to highest |", "|---|--:|---|--:|"]
    for figure in scenario["figures"]:
        rounds = spread(figure["low"], figure["high"], len(figure["samples"]))
        lines.append(f"| {figure['name']} | {number(figure['median'])} | {figure['unit']} | {rounds} |")
    return lines
