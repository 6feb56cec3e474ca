"""What Vercel takes from vercel.json without a look, and what would then fail in production only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Any

from dev.routing import compile_source

# What must not be shipped with a function, or would be served if there were no public/.
NEVER_BUNDLED = ("public", "tests", "sql", "dev", "docs", "node_modules", ".local", ".venv", ".ci")
# What this project uses. `vercel build` takes any other key at the top without a word, however misspelled.
_KEYS = {
    *("$schema", "framework", "installCommand", "buildCommand", "outputDirectory", "cleanUrls", "build"),
    *("functions", "crons", "rewrites", "headers", "regions"),
}
_FUNCTION_KEYS = {"maxDuration", "memory", "excludeFiles"}
# minute, hour, day of month, month, day of week: https://vercel.com/docs/cron-jobs#cron-expressions
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_CRON_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")


def problems(config: dict[str, Any], functions: Iterable[str]) -> list[str]:
    """What is wrong with this vercel.json over these functions (`api/reserve` is api/reserve.py); [] if nothing is.

    Wrong types, and unknown keys further down, are not looked for: the CLI refuses those by itself.
    """
    known = set(functions)
    found = [f"the key {key!r} is not one that this project uses" for key in sorted(set(config) - _KEYS)]
    found += (
        [] if config.get("framework", "") is None else ['"framework" must be null, or one preset takes all of api/']
    )
    if config.get("outputDirectory") != "public":
        found.append('"outputDirectory" must be public, or lib/ and sql/ become static files')
    found += _cron_problems(config.get("crons", []), known)
    found += _rewrite_problems(config.get("rewrites", []), known)
    found += _function_problems(config.get("functions", {}), known)
    return found


def _cron_problems(crons: list[dict[str, Any]], known: set[str]) -> list[str]:
    found = []
    for cron in crons:
        if cron["path"].strip("/") not in known:
            found.append(f"the cron path {cron['path']} has no function")
        if not is_schedule(cron["schedule"]):
            found.append(f"{cron['schedule']!r} is not a cron schedule of five fields")
    return found


def is_schedule(text: str) -> bool:
    """Whether Vercel's cron would take it: five fields of numbers, ranges, lists and steps; no names."""
    fields = text.split(" ")
    if len(fields) != len(_CRON_RANGES):
        return False
    # Vercel refuses both at once.
    if fields[2] != "*" and fields[4] != "*":
        return False
    return all(
        _fits(part, low, high)
        for field, (low, high) in zip(fields, _CRON_RANGES, strict=True)
        for part in field.split(",")
    )


def _fits(part: str, low: int, high: int) -> bool:
    match = _CRON_PART.fullmatch(part)
    if match is None or match[3] == "0":
        return False
    numbers = [int(number) for number in match.group(1, 2) if number is not None]
    return all(low <= number <= high for number in numbers) and numbers == sorted(numbers)


def _rewrite_problems(rewrites: list[dict[str, Any]], known: set[str]) -> list[str]:
    found = []
    for number, rule in enumerate(rewrites):
        if rule["destination"].strip("/") not in known:
            found.append(f"the rewrite of {rule['source']} goes to {rule['destination']}, where nothing is")
        # An earlier rule that takes the very same path makes this one dead.
        sample = re.sub(r":\w+\*?", "x", rule["source"])
        for earlier in rewrites[:number]:
            if compile_source(earlier["source"]).fullmatch(sample):
                found.append(f"the rewrite of {rule['source']} is never reached: {earlier['source']} comes before it")
    return found


def _function_problems(patterns: dict[str, dict[str, Any]], known: set[str]) -> list[str]:
    found = []
    for name in sorted(known):
        options = next((value for pattern, value in patterns.items() if fnmatch(f"{name}.py", pattern)), None)
        if options is None:
            found.append(f"{name}.py is matched by no pattern of functions, so it would bundle everything")
            continue
        found += [f"{name}.py has the unknown option {key!r}" for key in sorted(set(options) - _FUNCTION_KEYS)]
        excluded = options.get("excludeFiles", "")
        missing = [folder for folder in NEVER_BUNDLED if not re.search(rf"[{{,]{re.escape(folder)}[,}}]", excluded)]
        if missing:
            found.append(f"{name}.py would bundle {', '.join(missing)}")
    return found
