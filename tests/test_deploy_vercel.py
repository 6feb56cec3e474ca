"""`make deploy-vercel` says what it would do and what is missing, and does nothing before all is there."""

import os
import subprocess
import sys

import pytest

from dev import deploy_vercel
from dev.npm import ROOT


def test_it_says_its_plan_and_what_is_missing_and_stops() -> None:
    dropped = ("DATABASE_URL_UNPOOLED", "ADMIN_TOKEN", "VERCEL_TOKEN")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    line = [sys.executable, "-m", "dev.deploy_vercel"]
    result = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    for step in ("1. migrate", "2. vercel deploy", "3. make smoke", "4. vercel promote"):
        assert step in result.stdout
    assert "missing: DATABASE_URL_UNPOOLED" in result.stdout and "missing: ADMIN_TOKEN" in result.stdout
    assert "==> migrating" not in result.stdout


def test_a_pooled_address_is_refused_for_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL_UNPOOLED", "postgresql://u:secret@ep-x-pooler.example.com/shop")
    assert "direct" in str(deploy_vercel.check_database())
    assert "secret" not in deploy_vercel.plan()
