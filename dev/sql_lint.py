"""Lints sql/.

A throwaway Postgres takes every file, so that its own parser reads each statement and each function body (and
calls out PL/pgSQL variables that shadow others); squawk reads the migrations for what would lock or rewrite a
table in use.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from dev.postgres import Postgres, binary
from dev.processes import StackError

ROOT = Path(__file__).resolve().parent.parent
# For PL/pgSQL no linter beats Postgres: pglast refuses arrays of row types, the others skip the bodies.
SETTINGS = {"fsync": "off", "check_function_bodies": "on", "plpgsql.extra_errors": "shadowed_variables"}


def apply(path: Path, url: str) -> str:
    """What Postgres says against a file; empty if nothing."""
    command: list[str | Path] = [
        binary("psql"),
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--single-transaction",
    ]
    result = subprocess.run(
        [*command, f"--dbname={url}", f"--file={os.path.relpath(path, ROOT)}"],
        cwd=ROOT,
        env={"PGOPTIONS": "--client-min-messages=warning"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return result.stderr.strip().replace("psql:", "")


def parse(paths: list[Path]) -> list[str]:
    """Apply the files in order, up to the first migration that fails; what is wrong with each."""
    problems = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Postgres(Path(folder) / "data", settings=SETTINGS) as postgres,
    ):
        for path in paths:
            problem = apply(path, postgres.url())
            if problem:
                problems.append(problem)
                if is_migration(path):
                    break  # the rest would fail for want of it
    return problems


def is_migration(path: Path) -> bool:
    return re.match(r"\d", path.name) is not None


def squawk(paths: list[Path]) -> bool:
    """Whether squawk finds nothing, with the rules of dev/squawk.toml."""
    program = Path(sysconfig.get_path("scripts")) / "squawk"
    command: list[str | Path] = [
        program,
        "--config",
        "dev/squawk.toml",
        *(path.relative_to(ROOT) for path in paths),
    ]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode == 0


def main() -> int:
    # Migrations, whose names begin with a number, come before functions*.sql.
    paths = sorted((ROOT / "sql").glob("*.sql"))
    migrations = [path for path in paths if is_migration(path)]
    problems = parse(paths)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems or not squawk(migrations):
        return 1
    print(f"{len(paths)} files taken by Postgres, {len(migrations)} migrations linted: no problem")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackError as error:
        sys.exit(f"error: {error}")
