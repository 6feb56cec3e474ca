"""The shape of the code: who imports whom, where SQL and drivers may be, what a function carries, what Vercel reads."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dev import routing
from lib.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
OURS = ("api", "lib", "scheduled", "dev", "tests")
FUNCTIONS = sorted(routing.find_functions(ROOT / "api"))
VERCEL: dict[str, Any] = json.loads((ROOT / "vercel.json").read_text())
SQL = re.compile(
    r"^\s*(select\s.*(\sfrom\s|\().*|insert into\s.*|update \w+ set\s.*|delete from\s.*|with \w+ as\s.*"
    r"|(create|alter|drop|truncate) (or|table|index|view)\s.*|set \w+ (=|to)\s.*|begin|commit)$",
    re.IGNORECASE | re.DOTALL,
)


def sources(*folders: str) -> list[Path]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if "node_modules" not in path.parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> set[str]:
    """The full names of what a file imports, anywhere in it, lazily or for types alone too."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def importers(package: str, *folders: str) -> set[str]:
    """Which files of these folders import a package or a module of it."""
    return {
        str(path.relative_to(ROOT))
        for path in sources(*folders)
        if any(name == package or name.startswith(f"{package}.") for name in imports(path))
    }


def texts(path: Path) -> Iterator[str]:
    """The string constants of a file, f-strings' parts among them, without the docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree(path)) if isinstance(node, documented)}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docstrings:
            yield node.value


@pytest.mark.parametrize("outer", ["api", "scheduled", "dev", "tests"])
def test_lib_imports_nothing_that_stands_on_it(outer: str) -> None:
    assert importers(outer, "lib") == set()


def test_what_runs_for_requests_and_the_clock_imports_nothing_of_development() -> None:
    assert importers("dev", "api", "lib", "scheduled") == importers("tests", "api", "lib", "scheduled", "dev") == set()


def test_only_the_clocks_door_imports_what_the_clock_runs() -> None:
    assert importers("scheduled", "api") == {"api/cron/reap.py"}
    assert importers("api", "scheduled") == set()


def test_functions_do_not_import_each_other() -> None:
    # api/docs.py gathers them by name when the document is asked for.
    assert importers("api", "api") == set()


def test_sql_is_in_six_modules_alone() -> None:
    holders = {
        str(path.relative_to(ROOT))
        for path in sources("api", "lib", "scheduled")
        for text in texts(path)
        if SQL.match(text)
    }
    modules = ("inventory", "events", "identities", "reports", "audits", "migrate")
    assert holders == {f"lib/{module}.py" for module in modules}


def test_the_driver_is_in_db_and_migrate_alone() -> None:
    assert importers("psycopg", "api", "lib", "scheduled") == {"lib/db.py", "lib/pool.py", "lib/migrate.py"}


def test_one_module_knows_the_channels_library() -> None:
    assert importers("pusher", "api", "lib", "scheduled") == {"lib/realtime.py"}


def test_two_modules_know_the_library_of_tokens() -> None:
    assert importers("jwt", "api", "lib", "scheduled") == {"lib/jwks.py", "lib/tokens.py"}


def test_a_function_that_needs_tokens_has_their_library_before_its_first_request() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import api.reserve, sys; print('jwt' in sys.modules)"],
        cwd=ROOT,
        env={**os.environ, "AUTH_MODE": "jwt"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "True\n"


def test_lambdas_libraries_are_in_aws_alone() -> None:
    for package in ("mangum", "boto3", "botocore"):
        assert importers(package, "api", "lib", "scheduled") <= {"lib/aws.py"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_loads_neither_lambdas_libraries_nor_development_nor_the_channels(function: str) -> None:
    # A process of its own, as on the platform. pusher takes 40 ms to import: only where something is published.
    code = f"import {function.replace('/', '.')}, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    # Nor those of tokens, which take 100 ms, where nobody has any.
    strangers = {"mangum", "boto3", "botocore", "dev", "tests", "uvicorn", "pusher", "pytest", "sqlalchemy"}
    assert loaded & (strangers | {"jwt", "cryptography"}) == set()
    assert {"lib", "fastapi"} <= loaded


def test_asking_for_the_document_loads_no_development_either() -> None:
    code = "import api.docs, sys; api.docs._document(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in run.stdout.split()} & {"mangum", "boto3", "dev", "tests"} == set()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_one_plain_app_and_nothing_else_that_a_platform_takes_for_one(function: str) -> None:
    module = tree(ROOT / f"{function}.py")
    assigned = [
        target.id
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert assigned.count("app") == 1
    everywhere = [node for node in ast.walk(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    assert sum(node.id == "app" for node in everywhere) == 1
    defined = {node.name for node in ast.walk(module) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    assert {"handler", "application"} & (defined | set(assigned)) == set()


def test_the_functions_are_those_of_the_contract() -> None:
    names = [
        "admin",
        "cron/reap",
        "docs",
        "drops",
        "health",
        "purchase",
        "realtime",
        "reservations",
        "reserve",
        "users",
    ]
    assert [f"api/{name}" for name in names] == FUNCTIONS
    assert len(FUNCTIONS) <= 12  # in one deployment of Vercel's smallest plan


def test_files_and_functions_are_short() -> None:
    long_files = {str(path.relative_to(ROOT)) for path in sources(*OURS) if len(path.read_text().splitlines()) > 300}
    long_functions = {
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in sources(*OURS)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 50
    }
    assert (long_files, long_functions) == (set(), set())


def test_pyproject_toml_has_dependencies_and_a_lock_and_tools_have_files_of_their_own() -> None:
    # Without [project], or without its dependencies, a Vercel build would have none, silently.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dependencies"] and (ROOT / "uv.lock").exists()
    assert set(project["tool"]) == {"uv"}
    assert tomllib.loads((ROOT / "ruff.toml").read_text())["line-length"] == 120


def test_settings_example_and_readme_list_the_same() -> None:
    fields = [name.upper() for name in Settings.model_fields]
    example = re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    readme = (ROOT / "README.md").read_text()
    table = re.findall(r"^\| `([A-Z][A-Z0-9_]*)` \|", readme, re.MULTILINE)
    assert len(example) == len(set(example)) and len(table) == len(set(table))
    assert sorted(example) == sorted(fields)
    assert sorted(table) == sorted(fields)


def test_example_and_readme_tell_the_real_defaults() -> None:
    def told(default: object) -> str:
        return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)

    defaults = {name.upper(): told(field.default) for name, field in Settings.model_fields.items()}
    example = dict(re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    rows = re.findall(
        r"^\| `([A-Z][A-Z0-9_]*)` \| (?:`(.*?)`|[^` ]) \|", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert example == defaults
    assert dict(rows) == defaults


def test_every_cron_calls_a_function_by_a_schedule_of_five_fields() -> None:
    assert VERCEL["crons"]
    for cron in VERCEL["crons"]:
        assert cron["path"].strip("/") in FUNCTIONS
        fields = cron["schedule"].split(" ")
        assert len(fields) == 5 and all(re.fullmatch(r"[0-9*/,-]+", field) for field in fields)


def test_every_rewrite_leads_to_a_function() -> None:
    for rewrite in VERCEL["rewrites"]:
        assert rewrite["destination"].strip("/") in FUNCTIONS, rewrite


def test_every_function_pattern_matches_files_and_every_function_has_one() -> None:
    matched = {pattern: {str(path.relative_to(ROOT)) for path in ROOT.glob(pattern)} for pattern in VERCEL["functions"]}
    assert all(matched.values())
    assert {f"{function}.py" for function in FUNCTIONS} <= set().union(*matched.values())


def test_each_file_in_api_is_a_function_and_every_deployment_leaves_the_rest_out() -> None:
    assert VERCEL["framework"] is None  # else a preset may ignore api/
    for options in VERCEL["functions"].values():
        left_out = set(re.findall(r"[\w.]+", options["excludeFiles"]))
        assert {"public", "tests", "sql", "dev", "docs", "node_modules"} <= left_out
        assert {"lib", "api", "scheduled"} & left_out == set()


def test_the_sweep_ends_before_the_platform_ends_it() -> None:
    seconds = VERCEL["functions"]["api/cron/reap.py"]["maxDuration"]
    assert 60 < Settings.model_fields["sweep_budget_seconds"].default < seconds
