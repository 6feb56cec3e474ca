"""Charts of results.json as SVG, beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(results: dict[str, Any], folder: Path) -> None:
    """One file a chart; charts of scenarios that were never measured are left out."""
