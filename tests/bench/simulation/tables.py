"""The simulation's tables on the terminal, and the same as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tests.bench.report import number
from tests.bench.simulation.outcome import Outcome
from tests.bench.simulation.validate import WITHIN, Check


def print_checks(checks: list[Check]) -> None:
    for check in checks:
        verdict = "" if not check.is_held else "within" if check.is_met else "NOT WITHIN"
        bound = f"{verdict} {WITHIN:.0%}" if verdict else ""
        print(
            f"  {check.name:22} predicted {number(check.predicted):>7} {check.unit:3} measured "
            f"{number(check.measured):>7} {check.unit:3} {check.error:+5.0%}  {bound}"
        )


def _latency(name: str, share: str) -> Callable[[Outcome], str]:
    return lambda o: f"{number(o.latency_ms[name][share])} ms" if name in o.latency_ms else "-"


ROWS: dict[str, Callable[[Outcome], str]] = {
    "buyers": lambda o: f"{o.buyers:,}",
    "requests": lambda o: f"{o.requests:,}",
    "sold out after": lambda o: "-" if o.sold_out_at is None else f"{o.sold_out_at:.1f} s",
    "holds": lambda o: f"{o.counts['ok']:,}",
    "purchases": lambda o: f"{o.counts['purchase']:,}",
    "refusals (sold out)": lambda o: f"{o.counts['sold_out']:,}",
    "busy (503)": lambda o: f"{o.counts['busy']:,}",
    "refused by the platform": lambda o: f"{o.counts['throttled']:,}",
    "hold, p50": _latency("ok", "p50"),
    "hold, p99": _latency("ok", "p99"),
    "refusal, p50": _latency("sold_out", "p50"),
    "refusal, p99": _latency("sold_out", "p99"),
    "instances": lambda o: f"{o.instances:,}",
    "cold starts": lambda o: f"{o.cold_starts:,}",
    "pooler: longest queue": lambda o: f"{o.pooler_queue:,}",
    "pooler: busiest second": lambda o: f"{o.pooler_peak:.0%}",
    "database: longest queue": lambda o: f"{o.database_queue:,}",
    "database: busiest second": lambda o: f"{o.database_peak:.0%}",
    "lock conflicts": lambda o: f"{o.lock_conflicts:,}",
    "viewers at once": lambda o: f"{o.messages.viewers_most:,}",
    "publishes": lambda o: f"{o.messages.published:,}",
    "messages billed": lambda o: f"{o.messages.billed:,}",
    "messages a second, most": lambda o: f"{o.messages.a_second_most:,}",
    "functions, cost": lambda o: f"${o.cost['functions']:.2f}",
    "database, cost": lambda o: f"${o.cost['database']:.2f}",
    "channel plan that fits": lambda o: o.plan,
}


def print_outcomes(found: dict[str, Outcome]) -> None:
    columns = list(found)
    print(f"\n{'':26}" + "".join(f"{column.split(', ')[0]:>14}" for column in columns))
    if any(", " in column for column in columns):
        print(f"{'':26}" + "".join(f"{column.partition(', ')[2][:13]:>14}" for column in columns))
    for name, cell in ROWS.items():
        print(f"{name:26}" + "".join(f"{cell(found[column])[:13]:>14}" for column in columns))


def as_markdown(found: dict[str, Outcome]) -> str:
    columns = list(found)
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
    lines += [
        f"| {name} | " + " | ".join(cell(found[column]) for column in columns) + " |" for name, cell in ROWS.items()
    ]
    return "\n".join(lines)


def checks_as_markdown(checks: list[Check]) -> str:
    lines = ["| | predicted | measured | off by | |", "|---|--:|--:|--:|---|"]
    for check in checks:
        verdict = "within 25 %" if check.is_met else "**not within 25 %**"
        lines.append(
            f"| {check.name} | {number(check.predicted)} {check.unit} | {number(check.measured)} {check.unit} "
            f"| {check.error:+.0%} | {verdict if check.is_held else ''} |"
        )
    return "\n".join(lines)


def put_into(document: str, name: str, text: str) -> str:
    """The document with `text` between its marks for `name`."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = document.partition(begin)
    _, ended, after = rest.partition(end)
    assert found and ended, f"the document has no marks for {name}"
    return before + begin + text + "\n" + end + after


def as_json(checks: list[Check], found: dict[str, Outcome]) -> dict[str, Any]:
    return {
        "checks": [{**asdict(check), "error": check.error, "met": check.is_met} for check in checks],
        "outcomes": {name: asdict(outcome) for name, outcome in found.items()},
        "tables": {"checks": checks_as_markdown(checks), "outcomes": as_markdown(found)},
    }
