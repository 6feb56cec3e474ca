"""The results as a page in Markdown, for who reads the reference run without running anything."""

from __future__ import annotations

from typing import Any

from tests.bench.charts import CHARTS
from tests.bench.report import QUIET_SHARE, number

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
- Median of the rounds, and the lowest and highest of them. Ratios are taken round by round.

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
            spread = f"{number(target['low'])} to {number(target['high'])}"
            lines.append(
                f"| {target['name']} | {number(target['ratio'])} | {sign} {target['bound']:g}: {verdict} | {spread} |"
            )
    for name, scenario in results["scenarios"].items():
        lines += _scenario(name, scenario)
    return INTRODUCTION.format(**results["machine"]) + "\n".join(lines) + "\n"


def _scenario(name: str, scenario: Found) -> list[str]:
    words, command = "", f"make bench SCENARIO={name}"
    if scenario["size"] == "full":
        words, command = ", full size", f"{command.removesuffix('_full')} SIZE=full"
    lines = ["", f"## {scenario['title']}{words}", ""]
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
        spread = f"{number(figure['low'])} to {number(figure['high'])}"
        lines.append(f"| {figure['name']} | {number(figure['median'])} | {figure['unit']} | {spread} |")
    return lines
