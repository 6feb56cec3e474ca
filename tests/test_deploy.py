"""`make deploy-vercel` and `make deploy-aws` say their plan and what is missing, and do nothing before all is there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev import deploy_aws, deploy_vercel, deployment
from dev.npm import ROOT

PLANS = {
    "deploy_vercel": ("1. migrate", "2. vercel deploy", "3. make smoke", "4. vercel promote"),
    "deploy_aws": ("1. migrate", "2. sam build", "3. sam deploy", "4. make smoke"),
}


@pytest.mark.parametrize("command", PLANS)
def test_it_says_its_plan_and_what_is_missing_and_stops(command: str) -> None:
    dropped = ("DATABASE_URL_UNPOOLED", "ADMIN_TOKEN", "VERCEL_TOKEN")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    line = [sys.executable, "-m", f"dev.{command}"]
    result = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    for step in PLANS[command]:
        assert step in result.stdout
    assert "missing: DATABASE_URL_UNPOOLED" in result.stdout and "missing: ADMIN_TOKEN" in result.stdout
    assert "==> migrating" not in result.stdout


def test_a_pooled_address_is_refused_for_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL_UNPOOLED", "postgresql://u:secret@ep-x-pooler.example.com/shop")
    assert "direct" in str(deployment.check_database())
    assert "secret" not in deploy_vercel.plan()


def test_a_stack_and_its_address_come_from_what_the_first_deployment_wrote(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(deploy_aws, "CONFIG", tmp_path / "samconfig.toml")
    assert "docs/AWS.md" in str(deploy_aws.check_config())
    deploy_aws.CONFIG.write_text('[default.deploy.parameters]\nstack_name = "shop"\nregion = "eu-west-1"\n')
    assert deploy_aws.check_config() is None
    assert "stack shop in eu-west-1" in deploy_aws.plan()
