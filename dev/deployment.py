"""What every `make deploy-…` has in common: say the plan, check everything, ask, and only then change something."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

from dev.npm import ROOT
from dev.processes import StackError, say

Check = Callable[[], str | None]


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, text=True, capture_output=True).stdout.strip()


def commit() -> str:
    return git("rev-parse", "--short", "HEAD") or "(none)"


def database() -> str:
    """Where migrations go, without user and password."""
    return os.environ.get("DATABASE_URL_UNPOOLED", "").rpartition("@")[2].partition("?")[0] or "(not set yet)"


def check_commit() -> str | None:
    if git("status", "--porcelain"):
        return "there are changes that are not committed: commit them, so that what runs has a name"
    return None


def check_database() -> str | None:
    if not os.environ.get("DATABASE_URL_UNPOOLED"):
        return "DATABASE_URL_UNPOOLED is not set here: the direct (not -pooler) address of the production database"
    if "-pooler" in os.environ["DATABASE_URL_UNPOOLED"]:
        return "DATABASE_URL_UNPOOLED is a -pooler address; migrations need the direct one"
    return None


def check_token() -> str | None:
    return None if os.environ.get("ADMIN_TOKEN") else "ADMIN_TOKEN is not set here: the smoke test needs production's"


LOCAL_CHECKS: tuple[Check, ...] = (check_commit, check_database, check_token)


def find_problems(local: tuple[Check, ...], remote: tuple[Check, ...]) -> list[str]:
    """Everything that is missing here; what asks the platform comes only when that is there, one at a time."""
    missing = [problem for check in local if (problem := check()) is not None]
    for check in () if missing else remote:
        problem = check()
        if problem is not None:
            return [problem]
    return missing


def migrate() -> None:
    say("==> migrating")
    if subprocess.run([sys.executable, "-m", "lib.migrate"], cwd=ROOT).returncode != 0:
        raise StackError("the migration failed and changed nothing; nothing was deployed.")


def smoke(url: str) -> bool:
    """Whether `make smoke` passes there."""
    say(f"==> smoke test of {url}")
    return subprocess.run([sys.executable, "-m", "dev.smoke", url], cwd=ROOT).returncode == 0


def run(description: str, plan: str, problems: Callable[[], list[str]], deploy: Callable[[], None]) -> int:
    """The exit code. Nothing is changed before every check has passed and the plan is confirmed (YES=1 confirms)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--dry-run", action="store_true", help="say the plan and what is missing; change nothing")
    options = parser.parse_args()
    say(plan)
    missing = problems()
    for problem in missing:
        say(f"missing: {problem}")
    if missing:
        return 1
    say("every check has passed")
    if options.dry_run:
        return 0
    if os.environ.get("YES") != "1" and input("Go on? [y/N] ").strip().lower() != "y":
        say("nothing was done")
        return 1
    try:
        deploy()
    except StackError as error:
        say(f"error: {error}")
        return 1
    return 0
