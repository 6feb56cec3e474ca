"""`make deploy-vercel`: says what it will do, checks that it can, then does it: migrate, deploy, smoke, promote.

Nothing is changed before every check has passed and the plan has been confirmed (YES=1 confirms). docs/VERCEL.md says
what each step means, and how to go back.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from dev import vercel_cli
from dev.npm import ROOT
from dev.processes import StackError, say
from dev.routing import find_functions
from dev.vercel_config import problems

# Without these, production answers 503 not_configured on the routes that they protect, or cannot sell at all.
REQUIRED = ("DATABASE_URL", "AUTH_MODE", "ADMIN_TOKEN", "CRON_SECRET")
# Without these there are no live updates; pages poll.
CHANNEL = ("PUSHER_APP_ID", "PUSHER_KEY", "PUSHER_SECRET", "PUSHER_CLUSTER")

PLAN = """This deploys commit {commit} to Vercel project {project}, production:
  1. migrate the database at {database} (DATABASE_URL_UNPOOLED); old functions go on working with the new schema
  2. vercel deploy --prod --skip-domain: build there and start, without visitors
  3. make smoke against the new deployment: if it fails, it ends here
  4. vercel promote: visitors go to it from now on
"""


def vercel(*arguments: str, capture: bool = True) -> subprocess.CompletedProcess[str]:
    line = [str(vercel_cli.command()), *arguments]
    environment = {**os.environ, "VERCEL_TELEMETRY_DISABLED": "1"}
    return subprocess.run(line, cwd=ROOT, env=environment, text=True, capture_output=capture)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, text=True, capture_output=True).stdout.strip()


def check_config() -> str | None:
    config: dict[str, Any] = json.loads((ROOT / "vercel.json").read_text())
    found = problems(config, find_functions(ROOT / "api"))
    return "vercel.json: " + "; ".join(found) if found else None


def check_commit() -> str | None:
    if _git("status", "--porcelain"):
        return "there are changes that are not committed: commit them, so that what runs has a name"
    return None


def check_login() -> str | None:
    who = vercel("whoami")
    return None if who.returncode == 0 else "nobody is logged in: run `npx vercel login`, or set VERCEL_TOKEN"


def check_link() -> str | None:
    if (ROOT / ".vercel" / "project.json").exists():
        return None
    return "this folder is not linked to a project: run `npx vercel link`"


def check_variables() -> str | None:
    listed = vercel("env", "ls", "production")
    if listed.returncode != 0:
        return "the project's variables cannot be listed: " + listed.stderr.strip()[-200:]
    words = set((listed.stdout + listed.stderr).split())
    missing = [name for name in REQUIRED if name not in words]
    if set(CHANNEL) - words:
        say(f"note: {', '.join(sorted(set(CHANNEL) - words))} not set: pages will poll, there are no live updates")
    if "VERCEL_PYTHON_COMPILEALL" not in words:
        say("note: VERCEL_PYTHON_COMPILEALL is not set to 1: cold starts will take about half as long again")
    return f"variables of production are missing: {', '.join(missing)}" if missing else None


def check_database() -> str | None:
    if not os.environ.get("DATABASE_URL_UNPOOLED"):
        return "DATABASE_URL_UNPOOLED is not set here: the direct (not -pooler) address of the production database"
    if "-pooler" in os.environ["DATABASE_URL_UNPOOLED"]:
        return "DATABASE_URL_UNPOOLED is a -pooler address; migrations need the direct one"
    return None


def check_token() -> str | None:
    return None if os.environ.get("ADMIN_TOKEN") else "ADMIN_TOKEN is not set here: the smoke test needs production's"


CHECKS: list[Callable[[], str | None]] = [
    check_config,
    check_commit,
    check_database,
    check_token,
    check_link,
    check_login,
    check_variables,
]


def find_problems() -> list[str]:
    """Everything that is missing; what asks Vercel only when the rest is there."""
    local = [problem for check in CHECKS[:5] if (problem := check()) is not None]
    if local:
        return local
    for check in CHECKS[5:]:
        problem = check()
        if problem is not None:
            return [problem]
    return []


def plan() -> str:
    """The plan in words, without a password."""
    link = ROOT / ".vercel" / "project.json"
    project = json.loads(link.read_text()).get("projectName") if link.exists() else None
    database = os.environ.get("DATABASE_URL_UNPOOLED", "").rpartition("@")[2].partition("?")[0]
    return PLAN.format(
        commit=_git("rev-parse", "--short", "HEAD") or "(none)",
        project=project or "(not linked yet)",
        database=database or "(not set yet)",
    )


def deploy() -> int:
    say("==> migrating")
    if subprocess.run([sys.executable, "-m", "lib.migrate"], cwd=ROOT).returncode != 0:
        raise StackError("the migration failed and changed nothing; nothing was deployed.")
    say("==> deploying")
    deployed = vercel("deploy", "--prod", "--skip-domain", "--yes")
    if deployed.returncode != 0:
        raise StackError(f"vercel deploy failed; visitors still use the old deployment:\n{deployed.stderr[-2000:]}")
    url = deployed.stdout.strip().splitlines()[-1]
    say(f"==> smoke test of {url}")
    if subprocess.run([sys.executable, "-m", "dev.smoke", url], cwd=ROOT).returncode != 0:
        raise StackError("the smoke test failed; visitors still use the old deployment.")
    say("==> promoting")
    if vercel("promote", url, "--yes", capture=False).returncode != 0:
        raise StackError("vercel promote failed; visitors still use the old deployment.")
    say(f"done; to go back: npx vercel rollback. {url}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="say the plan and what is missing; change nothing")
    options = parser.parse_args()
    say(plan())
    missing = find_problems()
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
        return deploy()
    except StackError as error:
        say(f"error: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
