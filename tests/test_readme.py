"""README.md is true: its examples run in their order on a fresh demo database, and its tables are those of the code."""

import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from dotenv import dotenv_values

from dev.seed import seed
from dev.soketi import Soketi
from lib import errors, events
from lib.settings import Settings, read
from scheduled.reap import sweep
from tests.support.api import shape
from tests.support.database import Database
from tests.support.servers import Gateway

pytestmark = pytest.mark.xdist_group("browser")

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
HERE = "http://localhost:4000"
# Routes that the OpenAPI document leaves out: they are the document and its page.
UNDOCUMENTED = {"GET /api/docs", "GET /api/openapi.json"}
# What each example's answer holds that another run would not repeat.
VARYING = {
    "version",
    "requestId",
    "ms",
    "oldestSeconds",
    "waiting",
    "secondsLeft",
    "medianSecondsToPurchase",
    "wsPort",
    "wssPort",
    "key",
}


@dataclass
class Example:
    """One curl command, the status said below it, and what is shown of its answer."""

    command: str
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def fenced() -> list[tuple[str, str]]:
    """[(info string, text)] of every fenced block."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def examples() -> list[Example]:
    found: list[Example] = []
    for language, text in fenced():
        if language == "bash":
            pairs = re.findall(r"^(curl .+)\n# (\d{3})$", text, re.MULTILINE)
            assert len(pairs) * 2 == len(text.splitlines()), f"a command without its status:\n{text}"
            found += [Example(command, int(status)) for command, status in pairs]
        elif language == "json":
            found[-1].body = json.loads(text)
        elif language == "http":
            found[-1].headers = dict(line.split(": ", 1) for line in text.splitlines())
    return found


def table(heading: str) -> list[list[str]]:
    """The rows of the table that begins with this column, without markup."""
    after = README.split(f"\n| {heading} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in after]


def steady(value: Any) -> Any:
    """An answer without what differs from run to run; times and the like are kept as types."""
    if isinstance(value, dict):
        return {key: type(item) if key in VARYING else steady(item) for key, item in value.items()}
    if isinstance(value, list):
        return [steady(item) for item in value]
    return "time" if shape(value) == "time" else value


@pytest.fixture
def demo(database: Database, configure: Callable[..., None], own_channel: dict[str, str]) -> None:
    """A database as `make dev` leaves it at its ready line."""
    configure(**own_channel, CRON_SECRET="made by make dev")
    assert seed()
    sweep(0)


@pytest.fixture
def own_channel() -> Iterator[dict[str, str]]:
    """A soketi for one test: the examples have the ids of a fresh database, and other tests' channels may too."""
    with Soketi() as soketi:
        yield soketi.env()


def run(command: str, url: str, folder: Path) -> tuple[int, dict[str, str], str]:
    """(status, headers, body) of a command typed into a shell."""
    result = subprocess.run(
        ["bash", "-c", command.replace(HERE, url)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "CURL_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, f"{command}\n{result.stderr}"
    answer, status = result.stdout.rsplit("\nstatus ", 1)
    headers: dict[str, str] = {}
    if answer.startswith("HTTP/"):
        head, _, answer = answer.replace("\r\n", "\n").partition("\n\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head.splitlines()[1:])}
    return int(status), headers, answer


def test_every_example_gives_the_answer_that_is_shown(demo: None, gateway: Gateway, tmp_path: Path) -> None:
    assert shutil.which("curl"), "curl is missing; install it (Debian: apt-get install curl)"
    (tmp_path / ".curlrc").write_text('silent\nshow-error\nwrite-out = "\\nstatus %{http_code}\\n"\n')
    for example in examples():
        status, headers, body = run(example.command, gateway.url, tmp_path)
        assert status == example.status, f"{example.command}\n{body}"
        if example.body is not None:
            assert steady(json.loads(body)) == steady(example.body), example.command
        for name, value in example.headers.items():
            assert re.fullmatch(r"\d+", headers[name.lower()]) if value.isdigit() else headers[name.lower()] == value
        events.deliver(1)  # so that the version of the next answer does not depend on who is quicker


def test_the_sweep_answers_as_shown(demo: None, client: httpx2.Client) -> None:
    (shown,) = [json.loads(text) for language, text in fenced() if language == "json sweep"]
    answer = client.get("/api/cron/reap", headers={"Authorization": "Bearer made by make dev"})
    assert answer.status_code == 200
    assert answer.json() == shown


def test_every_route_has_an_example_or_two() -> None:
    used = set()
    for example in examples():
        method = re.search(r"-X (\w+)", example.command)
        path = re.search(rf"{HERE}([^\s\"?]+)", example.command)
        assert path
        used.add(f"{method[1] if method else 'GET'} {re.sub(r'/[0-9]+', '/{}', path[1])}")
    assert used == {without_names(row[0]) for row in table("route")}


def test_the_routes_are_those_of_the_api_document(client: httpx2.Client) -> None:
    document = client.get("/api/openapi.json").json()
    described = {
        without_names(f"{method.upper()} {path}") for path, item in document["paths"].items() for method in item
    }
    assert {without_names(row[0]) for row in table("route")} == described | UNDOCUMENTED


def without_names(route: str) -> str:
    return re.sub(r"\{\w+\}", "{}", route)


def test_the_error_table_is_the_list_of_errors() -> None:
    # internal_error is no leaf of that tree: it is what remains, and the README says so below the table.
    listed = {code: int(status) for code, status, *_ in table("code")}
    assert listed == {code: error.status for code, error in errors.BY_CODE.items()}
    assert errors.HoldfastError.code in README


def test_the_settings_table_and_the_example_file_are_the_settings() -> None:
    defaults = {name.upper(): written(info.default) for name, info in Settings.model_fields.items()}
    in_readme = {name: default.replace("\N{EN DASH}", "") for name, default, *_ in table("name")}
    in_file = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert in_readme == defaults
    assert in_file == defaults
    assert list(in_readme) == list(in_file) == list(defaults)


def written(default: object) -> str:
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_the_example_file_changes_nothing_not_even_with_its_lines_switched_on() -> None:
    example = (ROOT / ".env.example").read_text()
    switched_on = re.sub(r"^#([A-Z_]+=)", r"\1", example, flags=re.MULTILINE)
    assert dotenv_values(stream=io.StringIO(example)) == {}
    assert read(dotenv_values(stream=io.StringIO(switched_on))) == read({})


def test_every_local_link_leads_somewhere() -> None:
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
    headings = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    }
    targets = re.findall(r"\]\(([^)]+)\)", prose) + re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", prose)
    for target in targets:
        path, _, anchor = target.partition("#")
        if not path:
            assert anchor in headings, target
        elif not path.startswith("https://"):
            assert (ROOT / path).is_file(), target
