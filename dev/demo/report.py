"""What a demo comes to: the summary, the audit of its figures, and the chart."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dev.demo.crowd import Ledger
from dev.demo.watch import Viewer

KINDS = ("reserve", "purchase", "release")
# The chart goes on for this long after the last change.
TAIL_SECONDS = 2.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def naive_messages(ledger: Ledger) -> int:
    """What one message for each change would have published: each hold, return and purchase changes what is shown."""
    returned = len(ledger.released) + len(ledger.lapsed)
    return len(ledger.holds) + returned + len(ledger.purchases)


def audit(ledger: Ledger, drop: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """(rule, figures, whether it holds), from the crowd's own replies and the drop when all holds have ended."""
    sold, free, total = drop["soldCount"], drop["availableStock"], drop["totalStock"]
    bought = ledger.purchases
    most = max(Counter(ledger.buyer_of.values()).values(), default=0)
    limit = drop["maxPerUser"]
    stray = ledger.holds - set(bought) - ledger.released - ledger.lapsed
    return [
        ("every unit is in one place", f"{free} free + {sold} sold = {total}", free + sold == total),
        ("never oversold", f"{sold} of {total} sold", sold <= total),
        ("each confirmed purchase is there, once", f"{len(bought)} confirmed, {sold} sold", len(bought) == sold),
        ("no purchase twice", f"{len(set(bought.values()))} numbers", len(set(bought.values())) == len(bought)),
        ("each hold ended one way", f"{len(ledger.holds)} holds, {len(stray)} astray", not stray),
        ("limit for each buyer kept", f"most by one buyer: {most}", limit is None or most <= limit),
    ]


def print_summary(console: Console, ledger: Ledger, viewer: Viewer, drop: dict[str, Any], opened: float) -> bool:
    """Print everything; whether the audit found nothing."""
    refused = Counter(a.code for a in ledger.answers if a.kind == "reserve" and a.status >= 400)
    gone = next((at for at, stock in viewer.stock if at >= opened and stock == 0), None)
    rows = [
        ("sold", f"{len(ledger.purchases)} of {drop['totalStock']}"),
        ("holds given", str(len(ledger.holds))),
        ("holds expired", str(len(ledger.lapsed))),
        ("holds released", str(len(ledger.released))),
        ("refused", ", ".join(f"{code} {count}" for code, count in refused.most_common()) or "0"),
        ("first sold out after", f"{gone - opened:.1f} s" if gone else "not sold out"),
        ("messages published", _messages(ledger, viewer)),
    ]
    table = Table(title=f"Drop {drop['id']}: {drop['name']}", show_header=False, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(_latency_table(ledger))
    findings = audit(ledger, drop)
    checks = Table(title="Audit", show_header=False, title_justify="left")
    for rule, figures, holds in findings:
        checks.add_row("[green]ok[/]" if holds else "[red]BROKEN[/]", rule, figures)
    console.print(checks)
    return all(holds for _, _, holds in findings)


def _messages(ledger: Ledger, viewer: Viewer) -> str:
    if not viewer.live:
        return "not known: the channel was not there all the time"
    seen, naive = sum(viewer.events.values()), naive_messages(ledger)
    listed = ", ".join(f"{name} {count}" for name, count in viewer.events.most_common())
    return f"{seen} ({listed}); one for each change: {naive}"


def _latency_table(ledger: Ledger) -> Table:
    table = Table("ms", "requests", "median", "p95", "p99", "most", title="Latencies", title_justify="left")
    for kind in KINDS:
        found = ledger.latencies(kind)
        if found:
            figures = [statistics.median(found), percentile(found, 0.95), percentile(found, 0.99), max(found)]
            table.add_row(kind, str(len(found)), *(f"{figure:.0f}" for figure in figures))
    return table


def draw(
    path: Path, drop: dict[str, Any], samples: list[tuple[float, int, int]], viewer: Viewer, opened: float
) -> None:
    """An SVG of the stock as viewers saw it, and of holds and sales. `samples`: (monotonic, held, sold)."""
    # Here, because pygal puts an import hook of the old kind into the process, and Python warns of it at each import.
    import pygal
    from pygal.style import Style

    style = Style(
        # Told apart by color-blind readers too.
        colors=("#0b7a75", "#d1495b", "#3d5a80"), background="white", plot_background="white", font_family="sans-serif",
        guide_stroke_color="#dde3e8", major_guide_stroke_color="#dde3e8", guide_stroke_dasharray="0",
        major_guide_stroke_dasharray="0", stroke_width=2.5, title_font_size=17, label_font_size=12, legend_font_size=13,
    )  # fmt: skip
    chart = pygal.XY(
        title=f"{drop['name']}: {drop['totalStock']} units", x_title="seconds from the opening", style=style,
        show_dots=False, legend_at_bottom=True, legend_at_bottom_columns=3, js=[], height=420, width=900,
        x_value_formatter=lambda value: f"{value:.0f}", value_formatter=lambda value: f"{value:.0f}", range=(0, None),
    )  # fmt: skip
    samples = _until_quiet(samples)
    end = samples[-1][0] - opened if samples else 0.0
    seen = [(at - opened, stock) for at, stock in viewer.stock if -2 <= at - opened <= end]
    chart.add("on sale, as viewers saw it", _steps([*seen, (end, seen[-1][1])] if seen else []))
    shown = [(at - opened, held, sold) for at, held, sold in samples if at - opened >= -2]
    chart.add("held", [(at, held) for at, held, _ in shown])
    chart.add("sold", [(at, sold) for at, _, sold in shown])
    path.parent.mkdir(parents=True, exist_ok=True)
    chart.render_to_file(str(path))


def _until_quiet(samples: list[tuple[float, int, int]]) -> list[tuple[float, int, int]]:
    """Without the time in which only refusals happened."""
    last = next((at for at, held, sold in reversed(samples) if (held, sold) != samples[-1][1:]), 0.0)
    return [sample for sample in samples if sample[0] <= last + TAIL_SECONDS]


def _steps(points: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Between two updates a viewer saw the older figure, not a slope."""
    corners = [(later[0], earlier[1]) for earlier, later in itertools.pairwise(points)]
    return [point for pair in zip(points, [*corners, points[-1]], strict=True) for point in pair] if points else []
