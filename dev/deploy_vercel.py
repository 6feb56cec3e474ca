"""`make deploy-vercel`: says what it will do, checks that it can, then does it: migrate, deploy, smoke, promote.

Nothing is changed before every check has passed and the plan has been confirmed (YES=1 confirms). docs/VERCEL.md says
what each step means, and how to go back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from dev import deployment, vercel_cli
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


def check_config() -> str | None:
    config: dict[str, Any] = json.loads((ROOT / "vercel.json").read_text())
    found = problems(config, find_functions(ROOT / "api"))
    return "vercel.json: " + "; ".join(found) if found else None


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
    return f"variables of production are missing: {', '.join(missing)}" if missing else None


def plan() -> str:
    """The plan in words, without a password."""
    link = ROOT / ".vercel" / "project.json"
    project = json.loads(link.read_text()).get("projectName") if link.exists() else None
    return PLAN.format(
        commit=deployment.commit(),
        project=project or "(not linked yet)",
        database=deployment.database(),
    )


def deploy() -> None:
    deployment.migrate()
    say("==> deploying")
    deployed = vercel("deploy", "--prod", "--skip-domain", "--yes")
    if deployed.returncode != 0:
        raise StackError(f"vercel deploy failed; visitors still use the old deployment:\n{deployed.stderr[-2000:]}")
    url = deployed.stdout.strip().splitlines()[-1]
    if not deployment.smoke(url):
        raise StackError("the smoke test failed; visitors still use the old deployment.")
    say("==> promoting")
    if vercel("promote", url, "--yes", capture=False).returncode != 0:
        raise StackError("vercel promote failed; visitors still use the old deployment.")
    say(f"done; to go back: npx vercel rollback. {url}")


def main() -> int:
    local = (check_config, *deployment.LOCAL_CHECKS, check_link)
    remote = (check_login, check_variables)
    return deployment.run(__doc__ or "", plan(), lambda: deployment.find_problems(local, remote), deploy)


if __name__ == "__main__":
    sys.exit(main())
