"""What vercel.json says about paths: the subset of Vercel's rules that this project uses, no more."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from dev.processes import StackError

_TOKEN = re.compile(r":(?P<name>\w+)(?P<star>\*)?|(?P<group>\((?:[^()\\]|\\.|\([^()]*\))*\))|(?P<text>[^:(]+)")


@dataclass(frozen=True, slots=True)
class Rewrite:
    source: re.Pattern[str]
    function: str


@dataclass(frozen=True, slots=True)
class HeaderRule:
    source: re.Pattern[str]
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: the function (`api/reserve` is api/reserve.py) and the query string it sees."""

    function: str
    query_string: str


@dataclass(frozen=True, slots=True)
class Routes:
    """The rules of one vercel.json over the functions that exist under api/."""

    functions: frozenset[str]
    rewrites: tuple[Rewrite, ...]
    header_rules: tuple[HeaderRule, ...]
    clean_urls: bool

    def resolve(self, path: str, query_string: str = "") -> Target | None:
        """The function for a path: its own file first, then the first rewrite that matches; else None.

        A rewrite's parameters join the query, where the client's own value wins, as on Vercel.
        """
        own = path.strip("/")
        if own in self.functions:
            return Target(own, query_string)
        for rewrite in self.rewrites:
            match = rewrite.source.fullmatch(path)
            if match:
                return Target(rewrite.function, _merge(query_string, match.groupdict()))
        return None

    def headers(self, path: str) -> list[tuple[str, str]]:
        """The headers that every matching rule adds; of one header twice, the last rule's."""
        found: dict[str, str] = {}
        for rule in self.header_rules:
            if rule.source.fullmatch(path):
                found.update(rule.headers)
        return list(found.items())


def compile_source(source: str) -> re.Pattern[str]:
    """A path-to-regexp pattern: literal text, `:name`, `:name*` and plain groups such as `(.*)`.

    Raises StackError for anything else (`?`, `+`, `:name(regex)`): better than to misread it.
    """
    pattern, position = "", 0
    while position < len(source):
        token = _TOKEN.match(source, position)
        if token is None:
            raise StackError(f"vercel.json: cannot read the path {source!r} at position {position}.")
        position = token.end()
        if token["name"] and source[position : position + 1] in ("(", "?", "+"):
            raise StackError(
                f"vercel.json: {source!r} uses a modifier after :{token['name']} that dev/routing.py lacks."
            )
        if token["star"]:
            # The slash before belongs to it: `/api/:path*` matches `/api`, `/api/a` and `/api/a/b`.
            pattern = pattern.removesuffix("/") + f"(?:/(?P<{token['name']}>[^/]+(?:/[^/]+)*))?"
        elif token["name"]:
            pattern += f"(?P<{token['name']}>[^/]+)"
        else:
            pattern += token["group"] or re.escape(token["text"])
    return re.compile(pattern)


def find_functions(api: Path) -> frozenset[str]:
    """Vercel's rule: every Python file under api/ whose name does not begin with `_` or `.`."""
    files = [file.relative_to(api.parent) for file in api.rglob("*.py")]
    return frozenset(
        file.with_suffix("").as_posix() for file in files if not any(part[0] in "_." for part in file.parts)
    )


def load(root: Path) -> Routes:
    """Read vercel.json and api/ of a checkout.

    Raises StackError if the file cannot be read, or a rewrite or a cron names a function that is not there.
    """
    path = root / "vercel.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StackError(f"vercel.json cannot be read: {error}.") from error
    functions = find_functions(root / "api")
    rewrites = [
        Rewrite(compile_source(rule["source"]), rule["destination"].strip("/")) for rule in config.get("rewrites", [])
    ]
    for name in [rewrite.function for rewrite in rewrites] + [c["path"].strip("/") for c in config.get("crons", [])]:
        if name not in functions:
            raise StackError(f"vercel.json sends requests to /{name}, but there is no {name}.py.")
    header_rules = [
        HeaderRule(compile_source(rule["source"]), tuple((h["key"], h["value"]) for h in rule["headers"]))
        for rule in config.get("headers", [])
    ]
    return Routes(functions, tuple(rewrites), tuple(header_rules), bool(config.get("cleanUrls")))


def _merge(query_string: str, parameters: dict[str, str | None]) -> str:
    own = {name for name, _ in parse_qsl(query_string, keep_blank_values=True)}
    added = {name: unquote(value) for name, value in parameters.items() if value is not None and name not in own}
    return "&".join(part for part in (query_string, urlencode(added, quote_via=quote)) if part)
