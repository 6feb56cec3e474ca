"""The build of the tracked files with the real Vercel CLI, made once in a run, and what a function of it holds."""

import atexit
import json
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dev import vercel_cli
from tests.support.leaks import CANARIES

MISSING = (
    "Vercel's builder needs Python 3.12 or 3.13, and this machine has neither (in PATH, of pyenv, or as "
    "HOLDFAST_VERCEL_PYTHON)"
)

# Of a function, with its dependencies and, where a build ships it, its bytecode.
MAX_BUNDLE_BYTES = 60_000_000


def require_python() -> tuple[Path, str]:
    """The Python that builds. A machine without one skips by name; CI fails."""
    found = vercel_cli.find_python()
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    return found


@dataclass(frozen=True)
class Build:
    """`folder` is the clean copy; what would be uploaded is in .vercel/output."""

    folder: Path
    python: Path
    version: str

    @property
    def output(self) -> Path:
        return self.folder / ".vercel" / "output"

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads((self.output / "config.json").read_text())
        return config

    def functions(self) -> dict[str, Path]:
        """{"api/reserve": its .func folder}"""
        root = self.output / "functions"
        return {str(f.relative_to(root).with_suffix("")): f for f in root.rglob("*.func")}

    def function_config(self, name: str) -> dict[str, Any]:
        config: dict[str, Any] = json.loads((self.functions()[name] / ".vc-config.json").read_text())
        return config

    def paths(self, name: str) -> dict[str, Path]:
        """{path in the function: file} of everything that is uploaded with it."""
        own = self.functions()[name]
        found = {str(f.relative_to(own)): f for f in own.rglob("*") if f.is_file()}
        del found[".vc-config.json"]
        mapped = self.function_config(name).get("filePathMap", {})
        return {**found, **{path: self.folder / source for path, source in mapped.items()}}

    def files(self, name: str) -> dict[str, int]:
        """{path in the function: bytes}"""
        return {path: file.stat().st_size for path, file in self.paths(name).items()}

    def sizes(self, name: str) -> Counter[str]:
        """Bytes by package, and by folder for what is ours."""
        found: Counter[str] = Counter()
        for path, size in self.files(name).items():
            found[package_of(path)] += size
        return found


def package_of(path: str) -> str:
    """The package that a file of a function belongs to, or the folder of ours."""
    parts = path.split("/")
    return parts[1] if parts[0] == "_vendor" else parts[0]


def make_build(folder: Path, python: tuple[Path, str], **environment: str) -> Build:
    """Build the tracked files, and what the caller has put into `folder` before."""
    vercel_cli.copy_tracked(folder)
    vercel_cli.build(folder, python, **environment)
    return Build(folder, *python)


@cache
def shared_build() -> Build:
    """One build for all tests of this process."""
    python = require_python()
    folder = Path(tempfile.mkdtemp(prefix="holdfast-vercel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in (".env", ".env.local", ".env.production"):
        (folder / name).write_text("".join(f"{name}={value}\n" for name, value in CANARIES.items()))
    return make_build(folder, python, **CANARIES)


@pytest.fixture(scope="module")
def vercel_build() -> Build:
    """For import by the modules that need it."""
    return shared_build()
