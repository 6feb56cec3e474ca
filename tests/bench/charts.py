"""Charts of results.json as SVG, beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTS = ("database", "validation", "JSON", "log", "our layers", "events", "framework", "threads", "server", "other")
BINS = 40
Found = dict[str, Any]


def draw(results: Found, folder: Path) -> list[Path]:
    """One file a chart; charts of scenarios that were never measured are left out."""
    drawn = []
    for name, chart in CHARTS.items():
        scenario = results.get("scenarios", {}).get(name)
        if scenario is not None:
            drawn.append(folder / f"{name}.svg")
            chart(scenario).render_to_file(str(drawn[-1]))
    return drawn


def _chart(kind: str, title: str, **options: Any) -> Any:
    # Here, because pygal puts an import hook of the old kind into the process, and Python warns of it at each import.
    import pygal
    from pygal.style import Style

    style = Style(
        # Told apart by color-blind readers too.
        colors=("#0b7a75", "#d1495b", "#8d99a6", "#3d5a80", "#edae49", "#66a182", "#9b5de5", "#00798c", "#5c4b51"),
        background="white", plot_background="white", font_family="sans-serif", guide_stroke_color="#dde3e8",
        major_guide_stroke_color="#dde3e8", guide_stroke_dasharray="0", major_guide_stroke_dasharray="0",
        stroke_width=2.5, title_font_size=17, label_font_size=12, major_label_font_size=12, legend_font_size=13,
        value_font_size=10,
    )  # fmt: skip
    # A fixed uuid: the same results give the same file.
    common = {"style": style, "legend_at_bottom": True, "js": [], "width": 900, "height": 420, "title": title}
    chart = getattr(pygal, kind)(**{**common, **options})
    chart.uuid = "holdfast"
    return chart


def _bars(scenario: Found, names: list[str], title: str, unit: str, **options: Any) -> Any:
    """Medians of "name, where" side by side, in the order in which they were measured."""
    figures = {figure["name"]: figure for figure in scenario["figures"]}
    where = [name.partition(", ")[2] for name in figures if name.startswith(f"{names[0]}, ")]
    chart = _chart(
        "Bar", title, y_title=unit, print_values=True, value_formatter=lambda v: f"{v:,.0f}" if v >= 10 else f"{v:.1f}",
        **options,
    )  # fmt: skip
    chart.x_labels = where
    for name in names:
        chart.add(name, [figures[f"{name}, {place}"]["median"] for place in where])
    return chart


def hot_drop(scenario: Found) -> Any:
    names = ["reserve", "classic", "floor"]
    title = "One hot drop in SQL: transactions a second, by connections"
    return _bars(scenario, names, title, "a second", x_label_rotation=12, truncate_label=-1)


def refusals(scenario: Found) -> Any:
    return _bars(scenario, ["refusals", "floor"], "Sold-out answers beside plain inserts, in SQL", "a second")


def far_database(scenario: Found) -> Any:
    names = ["reserve", "classic", "round trip", "bare"]
    return _bars(scenario, names, "One buyer at a time, the database far away", "ms")


def _shares(title: str, x_title: str) -> Any:
    return _chart("XY", title, show_dots=False, x_title=x_title, y_title="% of all", range=(0, 100))


def http_drop(scenario: Found) -> Any:
    return _answered("A drop over HTTP, 64 connections: share answered by then", scenario)


def _answered(title: str, scenario: Found) -> Any:
    chart = _shares(title, "ms")
    for name, found in scenario["data"].items():
        latency = found["latency_ms"][len(found["latency_ms"]) // 2]
        points = sorted((ms, float(share)) for share, ms in latency.items() if float(share) < 100)
        chart.add(name, [(0.0, 0.0), *points])
    return chart


def purchases(scenario: Found) -> Any:
    return _answered("Buying what is held, 64 connections: share answered by then", scenario)


def reads(scenario: Found) -> Any:
    costs = {figure["name"]: figure["median"] for figure in scenario["figures"]}
    chart = _chart(
        "Bar", "Processor time of an answer", y_title="ms", print_values=True, value_formatter=lambda v: f"{v:.1f}"
    )
    chart.x_labels = ["list, SQL", "drop, SQL", "list, HTTP", "drop, HTTP"]
    for age in ("young", "old"):
        asked = [label.partition(", ") for label in chart.x_labels]
        chart.add(f"{age} shop", [costs[f"{kind}, {age}, {way}"] for kind, _, way in asked])
    return chart


def events(scenario: Found) -> Any:
    chart = _shares("From commit to a viewer: share that arrived by then", "ms")
    for name, delays in scenario["data"].items():
        if isinstance(delays, list):
            step = max(1, len(delays) // 100)
            points = [(delay, 100 * (number + 1) / len(delays)) for number, delay in enumerate(delays)]
            chart.add(name, [(0.0, 0.0), *points[::step], points[-1]])
    return chart


def sweep(scenario: Found) -> Any:
    late = [1000 * seconds for seconds in scenario["data"]["late_seconds"]]
    width = max(late) / BINS or 1.0
    counts = [0] * BINS
    for value in late:
        counts[min(BINS - 1, int(value / width))] += 1
    title = "How late a hold expires while the sweep runs"
    chart = _chart("Histogram", title, show_legend=False, x_title="ms after the deadline", y_title="holds")
    chart.add("holds", [(count, place * width, (place + 1) * width) for place, count in enumerate(counts)])
    return chart


def cpu_parts(scenario: Found) -> Any:
    kinds = {name: found for name, found in scenario["data"].items() if "parts_ms" in found}
    title = "Processor time of a request; the last two parts are not the function's"
    chart = _chart("HorizontalStackedBar", title, x_title="ms", legend_at_bottom_columns=6)
    chart.x_labels = list(kinds)
    for part in (*PARTS, "pooler", "postgres"):
        chart.add(part, [_spent(found, part) for found in kinds.values()])
    return chart


def _spent(found: Found, part: str) -> float:
    return float(found.get(f"{part}_ms", found["parts_ms"].get(part, 0.0)))


def memory(scenario: Found) -> Any:
    megabytes = scenario["data"]["megabytes"]
    step = scenario["data"]["requests"] / len(megabytes)
    chart = _chart("XY", "Memory of one function", show_legend=False, x_title="requests", y_title="MB", range=(0, None))
    chart.add("MB", [(step * (number + 1), value) for number, value in enumerate(megabytes)])
    return chart


CHARTS: dict[str, Callable[[Found], Any]] = {
    "hot_drop": hot_drop,
    "refusals": refusals,
    "http_drop": http_drop,
    "far_database": far_database,
    "purchases": purchases,
    "reads": reads,
    "sweep": sweep,
    "events": events,
    "cpu_parts": cpu_parts,
    "memory": memory,
}
