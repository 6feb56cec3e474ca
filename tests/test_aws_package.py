"""What `sam build` packs into a function, and what that loads when it starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev import sam
from tests.support.lambda_runtime import ROOT, Build, build, build_python, machine
from tests.support.leaks import CANARIES
from tests.support.packages import canonical, pins, runtime_packages
from tests.support.template import load
from tests.support.vercel_build import MAX_BUNDLE_BYTES

pytestmark = pytest.mark.xdist_group("lambda")


@pytest.fixture(scope="module")
def built() -> Build:
    return build()


@pytest.mark.parametrize("name", sorted(load(ROOT / "template.yaml").functions))
def test_a_function_starts_without_what_it_may_never_need(built: Build, name: str) -> None:
    properties = built.template.functions[name]
    task = built.folder / properties["CodeUri"]
    assert not any((task / package).exists() for package in ("boto3", "tests", "sql", "dev", "public", "pytest"))
    assert (task / "lib" / "__pycache__").is_dir() and (task / "fastapi" / "__pycache__").is_dir(), (
        "bytecode is shipped"
    )
    environment = built.template.environment(name, {}) | {"PYTHONPATH": f"{task}:{sam.runtime(built.python)}"}
    code = "import lib.aws, sys; lib.aws.handler; print(*sys.modules)"
    run = subprocess.run([built.python, "-c", code], cwd=task, env=environment, capture_output=True, text=True)
    loaded = {module.partition(".")[0] for module in run.stdout.split()}
    assert "mangum" in loaded, run.stderr
    # boto3 takes 0.9 s; no secret is named here, and nothing was published.
    assert loaded & {"boto3", "botocore", "pusher", "requests", "dev", "tests"} == set()


def test_the_bundle_is_small(built: Build) -> None:
    files = [path for path in (built.folder / "Drops").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_BUNDLE_BYTES


def test_a_package_has_the_locked_packages_alone_and_no_secret_of_the_builder(built: Build, tmp_path: Path) -> None:
    version, _ = build_python()
    settings = {"LAMBDA_PYTHON_VERSION": version, "LAMBDA_ARCH": machine(), **CANARIES}
    line = [sys.executable, str(ROOT / "dev" / "lambda" / "package.py"), str(tmp_path)]
    subprocess.run(line, env={**os.environ, **settings}, check=True)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    infos = {path.parent.name.removesuffix(".dist-info") for path in files if path.name == "METADATA"}
    assert {canonical(name): of for name, _, of in (info.partition("-") for info in infos)} == {
        **runtime_packages(),
        "mangum": pins(ROOT / "requirements-lambda.txt")["mangum"],
    }
    ours = [path for path in files if path.relative_to(tmp_path).parts[0] in ("api", "lib", "scheduled")]
    assert ours and {path.suffix for path in ours} == {".py", ".pyc"}
    assert not [path for path in files if path.name.startswith(".env")]
    for path in files:
        content = path.read_bytes()
        assert [name for name, value in CANARIES.items() if value.encode() in content] == [], path
