"""Charts of results.json as SVG, beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Holdfast, then the yardsticks; readable side by side without color vision too.
COLORS = {"reserve": "#0b6e4f", "drain": "#0b6e4f", "classic": "#c8553d", "floor": "#9aa5b1", "bare": "#9aa5b1"}
PARTS = ("database", "validation", "JSON", "log", "our layers", "events", "framework", "threads", "server", "other")
Found = dict[str, Any]


def draw(results: Found, folder: Path) -> list[Path]:
    """One file a chart; charts of scenarios that were never measured are left out."""
    try:
        import matplotlib
    except ImportError:
        print("no charts: matplotlib is missing; make bench installs it")
        return []
    matplotlib.use("svg")
    # The same results give the same files: no date, no random ids; text stays text.
    matplotlib.rcParams.update({"svg.hashsalt": "holdfast", "svg.fonttype": "none", "font.size": 9})
    drawn = []
    for name, chart in CHARTS.items():
        scenario = results.get("scenarios", {}).get(name)
        if scenario is not None:
            drawn.append(_file(folder / f"{name}.svg", scenario, chart))
    return drawn


def _file(path: Path, scenario: Found, chart: Callable[[Any, Found], None]) -> Path:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 3.6), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    chart(axes, scenario)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path


def _figures(scenario: Found) -> dict[str, Found]:
    return {figure["name"]: figure for figure in scenario["figures"]}


def _bars(axes: Axes, groups: list[str], series: dict[str, list[Found]], unit: str) -> None:
    """Medians side by side, with the spread as a line; a number on each bar."""
    width = 0.8 / len(series)
    for place, (name, found) in enumerate(series.items()):
        at = [group + (place - (len(series) - 1) / 2) * width for group in range(len(groups))]
        heights = [figure["median"] for figure in found]
        spread = [[f["median"] - f["low"] for f in found], [f["high"] - f["median"] for f in found]]
        bars = axes.bar(at, heights, width * 0.95, label=name, color=COLORS.get(name), yerr=spread, capsize=2)
        axes.bar_label(bars, [f"{h:,.0f}" if h >= 10 else f"{h:.1f}" for h in heights], fontsize=7, padding=1)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylabel(unit)
    axes.legend(frameon=False, fontsize=8)


def hot_drop(axes: Axes, scenario: Found) -> None:
    figures = _figures(scenario)
    where = [name.partition(", ")[2] for name in figures if name.startswith("reserve, ")]
    series = {name: [figures[f"{name}, {w}"] for w in where] for name in ("reserve", "classic", "floor")}
    _bars(axes, [w.replace(" connections, ", "\n") for w in where], series, "transactions a second")
    axes.set_yscale("log")
    axes.set_title("One hot drop in SQL, by connections (logarithmic)")


def refusals(axes: Axes, scenario: Found) -> None:
    figures = _figures(scenario)
    where = [name.partition(", ")[2] for name in figures if name.startswith("refusals, ")]
    series = {name: [figures[f"{name}, {w}"] for w in where] for name in ("refusals", "floor")}
    _bars(axes, where, series, "a second")
    axes.set_title("Sold-out answers and plain inserts, in SQL")


def http_drop(axes: Axes, scenario: Found) -> None:
    for name, found in scenario["data"].items():
        latency = found["latency_ms"][len(found["latency_ms"]) // 2]
        points = sorted((float(share), value) for share, value in latency.items() if float(share) < 100)
        color = COLORS.get(name)
        axes.plot([value for _, value in points], [share for share, _ in points], label=name, color=color)
    axes.set_xlabel("latency, ms, 64 connections")
    axes.set_ylabel("% of requests answered")
    axes.set_xlim(left=0)
    axes.legend(frameon=False, fontsize=8)
    axes.set_title("A drop over HTTP")


def far_database(axes: Axes, scenario: Found) -> None:
    figures = _figures(scenario)
    away = [name.partition(", ")[2] for name in figures if name.startswith("reserve, ")]
    series = {name: [figures[f"{name}, {w}"] for w in away] for name in ("round trip", "bare", "reserve", "classic")}
    _bars(axes, [f"database {w}" for w in away], series, "ms, one buyer at a time")
    axes.set_title("Latency with a far database")


def sweep(axes: Axes, scenario: Found) -> None:
    late = scenario["data"]["late_seconds"]
    axes.hist([value * 1000 for value in late], bins=60, color=COLORS["reserve"])
    axes.set_xlabel("ms from a hold's deadline to its end")
    axes.set_ylabel("holds")
    axes.set_xlim(left=0)
    axes.set_title("How late a hold expires while the sweep runs")


def events(axes: Axes, scenario: Found) -> None:
    for name, delays in scenario["data"].items():
        if isinstance(delays, list):
            shares = [100 * (number + 1) / len(delays) for number in range(len(delays))]
            axes.plot(delays, shares, label=name)
    axes.set_xlabel("ms from commit to the viewer")
    axes.set_ylabel("% of events")
    axes.set_xlim(left=0)
    axes.legend(frameon=False, fontsize=8)
    axes.set_title("How soon a viewer hears of it")


def cpu_parts(axes: Axes, scenario: Found) -> None:
    kinds = [name for name, found in scenario["data"].items() if "parts_ms" in found]
    left = [0.0] * len(kinds)
    for part in (*PARTS, "pooler", "postgres"):
        widths = [_spent(scenario["data"][kind], part) for kind in kinds]
        axes.barh(kinds, widths, left=left, label=part)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_xlabel("ms of processor time a request; the last two parts are not the function's")
    axes.invert_yaxis()
    axes.legend(frameon=False, fontsize=7, ncols=2)
    axes.set_title("Where the processor time of a request goes")


def _spent(found: Found, part: str) -> float:
    return float(found.get(f"{part}_ms", found["parts_ms"].get(part, 0.0)))


def memory(axes: Axes, scenario: Found) -> None:
    megabytes = scenario["data"]["megabytes"]
    step = scenario["data"]["requests"] / len(megabytes)
    axes.plot([step * (number + 1) for number in range(len(megabytes))], megabytes, color=COLORS["reserve"])
    axes.set_xlabel("requests")
    axes.set_ylabel("MB")
    axes.set_ylim(bottom=0)
    axes.set_title("Memory of one function")


CHARTS: dict[str, Callable[[Any, Found], None]] = {
    "hot_drop": hot_drop,
    "refusals": refusals,
    "http_drop": http_drop,
    "far_database": far_database,
    "sweep": sweep,
    "events": events,
    "cpu_parts": cpu_parts,
    "memory": memory,
}
