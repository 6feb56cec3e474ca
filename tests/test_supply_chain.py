"""What is installed, by developers and in functions, is what was looked at once: pinned, with hashes, and little."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import uv

from dev import lock
from dev.npm import ROOT
from tests.support.packages import canonical, pins, runtime_packages

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
PINNED = re.compile(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+")
PIP_FILES = [*lock.EXPORTS, lock.SAM[1]]


def test_what_is_named_is_named_with_its_version() -> None:
    named = list(PROJECT["project"]["dependencies"])
    for group in PROJECT["dependency-groups"].values():
        named += [entry for entry in group if isinstance(entry, str)]
    lines = (ROOT / lock.SAM[0]).read_text().splitlines()
    named += [line for line in lines if line and not line.startswith("#")]
    assert len(named) > 20 and [entry for entry in named if not PINNED.fullmatch(entry)] == []


def test_the_lock_is_that_of_pyproject_toml(tmp_path: Path) -> None:
    """uv itself says so, without network and without a cache."""
    line = [uv.find_uv_bin(), "lock", "--check", "--offline", "--no-python-downloads"]
    variables = {**os.environ, "UV_CACHE_DIR": str(tmp_path)}
    result = subprocess.run(line, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert result.returncode == 0, f"run `make lock`:\n{result.stderr}"


def test_every_file_in_the_lock_has_a_hash_and_comes_from_the_public_registry() -> None:
    ours, *others = sorted(LOCKED, key=lambda package: package["name"] != "holdfast")
    assert ours["source"] == {"virtual": "."}
    for package in others:
        assert package["source"] == {"registry": "https://pypi.org/simple"}, package["name"]
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files and all(re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]) for file in files), package["name"]


@pytest.mark.parametrize("name", lock.EXPORTS)
def test_what_pip_installs_from_is_what_is_locked(name: str) -> None:
    assert (ROOT / name).read_text() == lock.export(*lock.EXPORTS[name]), "run `make lock`"


def test_sams_list_is_of_what_is_named() -> None:
    named = dict(re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / lock.SAM[0]).read_text(), re.MULTILINE))
    assert named and {name: pins(ROOT / lock.SAM[1])[name] for name in named} == named


@pytest.mark.parametrize("name", PIP_FILES)
def test_every_line_for_pip_is_pinned_and_hashed(name: str) -> None:
    entries = (ROOT / name).read_text().replace("\\\n", "").splitlines()[1:]
    line = re.compile(rf"{PINNED.pattern}( ; [^#]+?)?(\s+--hash=sha256:[0-9a-f]{{64}})+\s*")
    assert len(entries) > 5 and [entry for entry in entries if not line.fullmatch(entry)] == []


def test_every_pip_in_use_checks_hashes() -> None:
    """An installation that names packages by itself would go round the lock."""
    listed = subprocess.run(["git", "ls-files", "dev", ".ci", "Makefile"], cwd=ROOT, capture_output=True, text=True)
    installs = re.compile(r"""(pip|"pip",)\s+"?install\b""")
    found = {name for name in listed.stdout.split() if installs.search((ROOT / name).read_text())}
    assert {"dev/bootstrap.sh", "dev/lambda/package.py", "dev/sam.py"} == found
    for name in found:
        text = (ROOT / name).read_text()
        assert len(installs.findall(text)) == text.count("--require-hashes") == 1, name


@pytest.mark.parametrize("folder", ["", "dev", "dev/vercel"])
def test_npm_installs_locked_files_with_their_hashes(folder: str) -> None:
    packages = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert installed
    for name, package in installed.items():
        assert re.match(r"sha512-", package["integrity"]), name
    asked = packages[""]["dependencies"] | packages[""].get("devDependencies", {})
    assert [name for name, version in asked.items() if not re.fullmatch(r"(npm:.*@)?\d[\w.-]*", version)] == []


def test_functions_need_few_packages() -> None:
    """Each is a risk and a part of every cold start. Raise these on purpose only."""
    assert len(PROJECT["project"]["dependencies"]) <= 6
    assert len(runtime_packages()) <= 27
    named = {canonical(re.split(r"[\[=]", entry)[0]) for entry in PROJECT["project"]["dependencies"]}
    assert named <= set(runtime_packages())
