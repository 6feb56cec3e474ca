"""Figures, ratios and targets: repeated, interleaved, with median and spread."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
Samples = list[float]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity; a sample a round."""

    name: str
    unit: str
    samples: Samples

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def low(self) -> float:
        return min(self.samples)

    @property
    def high(self) -> float:
        return max(self.samples)

    def as_json(self) -> dict[str, Any]:
        spread = {"median": self.median, "low": self.low, "high": self.high}
        return {"name": self.name, "unit": self.unit, **spread, "samples": self.samples}


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio to a yardstick of the same run, and the bound it must keep. Never a promise in absolute terms.

    `samples` has one ratio a round, so that what slowed a round slowed both sides of its ratio.
    """

    name: str
    samples: Samples
    bound: float
    at_least: bool = True

    @property
    def ratio(self) -> float:
        return statistics.median(self.samples)

    @property
    def is_met(self) -> bool:
        return self.ratio >= self.bound if self.at_least else self.ratio <= self.bound

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ratio": self.ratio,
            "low": min(self.samples),
            "high": max(self.samples),
            "rounds": len(self.samples),
            "bound": self.bound,
            "at_least": self.at_least,
            "met": self.is_met,
        }


@dataclass(slots=True)
class Report:
    """What one scenario found. `data` is for charts and for the simulation: distributions, costs by part."""

    scenario: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def figure(self, name: str, unit: str, samples: Sequence[float]) -> Samples:
        """Record a quantity; returns its samples, for ratios."""
        self.figures.append(Figure(name, unit, list(samples)))
        return list(samples)

    def at_least(self, name: str, bound: float, value: Sequence[float], yardstick: Sequence[float]) -> None:
        """Target: value / yardstick, round by round, is at least `bound`."""
        self.targets.append(Target(name, ratios(value, yardstick), bound))

    def at_most(self, name: str, bound: float, value: Sequence[float], yardstick: Sequence[float]) -> None:
        """Target: value / yardstick, round by round, is at most `bound`."""
        self.targets.append(Target(name, ratios(value, yardstick), bound, at_least=False))

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "figures": [figure.as_json() for figure in self.figures],
            "targets": [target.as_json() for target in self.targets],
            "notes": self.notes,
            "data": self.data,
        }


def ratios(value: Sequence[float], yardstick: Sequence[float]) -> Samples:
    """One ratio a round; a yardstick without samples of its own rounds (a constant) counts for each."""
    if len(yardstick) == 1:
        yardstick = list(yardstick) * len(value)
    return [a / b for a, b in zip(value, yardstick, strict=True)]


def interleave(subjects: Mapping[str, Callable[[], T]], rounds: int, progress: Progress) -> dict[str, list[T]]:
    """Measure each subject once a round, `rounds` times: A B C A B C …, so that a slow minute falls on all alike.

    The order turns from round to round: nobody always follows the same neighbor.
    """
    found: dict[str, list[T]] = {name: [] for name in subjects}
    names = list(subjects)
    for number in range(rounds):
        turned = names[number % len(names) :] + names[: number % len(names)]
        for name in turned:
            progress(f"round {number + 1} of {rounds}: {name}")
            found[name].append(subjects[name]())
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
