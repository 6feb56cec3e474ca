"""`make deploy-aws`: says what it will do, checks that it can, then does it: migrate, build, deploy, smoke.

For every deployment but the first, which asks for the parameters: docs/AWS.md has it step by step, and how to go back.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import Any

from dev import deployment, sam
from dev.npm import ROOT
from dev.processes import StackError, say

CONFIG = ROOT / "samconfig.toml"
PLAN = """This deploys commit {commit} to AWS, stack {stack} in {region}:
  1. migrate the database at {database} (DATABASE_URL_UNPOOLED); old functions go on working with the new schema
  2. sam build: the functions with their dependencies, into .aws-sam
  3. sam deploy with samconfig.toml: a new version of each function, to which its alias moves; undone if it fails
  4. make smoke against the stack's address
"""


def parameters() -> dict[str, Any]:
    """What `sam deploy --guided` wrote down: stack_name, region and more; empty before the first deployment."""
    if not CONFIG.exists():
        return {}
    config = tomllib.loads(CONFIG.read_text()).get("default", {})
    shared: dict[str, Any] = config.get("global", {}).get("parameters", {})
    return {**shared, **config.get("deploy", {}).get("parameters", {})}


def check_config() -> str | None:
    if parameters().get("stack_name"):
        return None
    return "samconfig.toml names no stack: do the first deployment as docs/AWS.md says (sam deploy --guided)"


def _client(service: str) -> Any:
    import boto3  # 0.9 s: not for those who only ask what is missing

    return boto3.client(service, region_name=parameters().get("region", sam.REGION))


def check_credentials() -> str | None:
    try:
        _client("sts").get_caller_identity()
    except Exception as error:
        return f"AWS takes no credentials from here ({type(error).__name__}): run `aws configure`, or set AWS_PROFILE"
    return None


def api_url() -> str:
    """The stack's own word."""
    (stack,) = _client("cloudformation").describe_stacks(StackName=parameters()["stack_name"])["Stacks"]
    return next(str(output["OutputValue"]) for output in stack["Outputs"] if output["OutputKey"] == "ApiUrl")


def plan() -> str:
    known = parameters()
    return PLAN.format(
        commit=deployment.commit(),
        stack=known.get("stack_name", "(not deployed yet)"),
        region=known.get("region", sam.REGION),
        database=deployment.database(),
    )


def deploy() -> None:
    deployment.migrate()
    for step in (["build"], ["deploy", "--no-confirm-changeset", "--no-fail-on-empty-changeset"]):
        say(f"==> sam {step[0]}")
        if subprocess.run([sys.executable, "-m", "dev.sam", *step], cwd=ROOT).returncode != 0:
            raise StackError(f"sam {step[0]} failed; visitors still use the old deployment.")
    url = api_url()
    if not deployment.smoke(url):
        raise StackError("the smoke test failed, and visitors use this deployment: docs/AWS.md says how to go back.")
    say(f"done: {url}")


def main() -> int:
    local = (*deployment.LOCAL_CHECKS, check_config)
    return deployment.run(__doc__ or "", plan(), lambda: deployment.find_problems(local, (check_credentials,)), deploy)


if __name__ == "__main__":
    sys.exit(main())
