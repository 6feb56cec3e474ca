"""The real Vercel CLI, pinned, and what a build with it needs: for tests, the cold-start benchmark, deployments."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import uv

from dev.npm import ROOT, require_node
from dev.processes import StackError, say

PACKAGE = ROOT / "dev" / "vercel"
LOCAL = ROOT / ".local" / "vercel"
# Vercel's default first. 3.11, which is enough for everything else here, does not build.
PYTHONS = ("3.12", "3.13")
INSTALL_SECONDS = 600.0
BUILD_SECONDS = 600.0
PROJECT = '{"projectId": "prj_local", "orgId": "team_local", "settings": {"framework": null}}'


def find_python() -> tuple[Path, str] | None:
    """(interpreter, "3.12" or "3.13") that builds and runs Vercel's functions; None if this machine has neither.

    HOLDFAST_VERCEL_PYTHON names one; else those in PATH, and those that pyenv has installed.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in PYTHONS:
        candidates = [
            os.environ.get("HOLDFAST_VERCEL_PYTHON"),
            shutil.which(f"python{version}"),
            *sorted(glob.glob(str(pyenv / "versions" / f"{version}.*" / "bin" / f"python{version}"))),
        ]
        for candidate in filter(None, candidates):
            found = _describe(candidate)
            if found is not None and found[1] == version:
                return found
    return None


def _describe(candidate: str) -> tuple[Path, str] | None:
    """The real path of an interpreter (pyenv's shims are scripts, which may choose another one) and its version."""
    question = "import sys; print(sys._base_executable, '%d.%d' % sys.version_info[:2])"
    try:
        result = subprocess.run([candidate, "-c", question], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    path, _, version = result.stdout.strip().rpartition(" ")
    return (Path(path), version) if result.returncode == 0 and path else None


def command() -> Path:
    """The CLI's program; installs it into .local/vercel the first time (360 MB)."""
    require_node()
    program = LOCAL / "node_modules" / ".bin" / "vercel"
    stamp = LOCAL / ".installed"
    LOCAL.mkdir(parents=True, exist_ok=True)
    with (LOCAL / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if program.exists() and stamp.exists() and stamp.read_text() == _fingerprint():
            return program
        say("  npm: the Vercel CLI into .local/vercel (once)")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PACKAGE / name, LOCAL / name)
        flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        _install(["npm", "ci", *flags])
        stamp.write_text(_fingerprint())
    return program


def _fingerprint() -> str:
    return hashlib.sha256((PACKAGE / "package-lock.json").read_bytes()).hexdigest()


def _install(line: list[str]) -> None:
    result = subprocess.run(line, cwd=LOCAL, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    if result.returncode != 0:
        raise StackError(f"`{' '.join(line[:3])}` failed; check the network:\n{result.stderr.strip()[-2000:]}")


def copy_tracked(target: Path, leave_out: Iterable[str] = ()) -> None:
    """What a deployment would upload: the tracked files as they are now. A build writes beside the sources."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        raise StackError("git does not list the files of this folder; a build needs a clone, not an export.")
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        if source.is_file() and not name.startswith(tuple(leave_out)):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)


def build(folder: Path, python: tuple[Path, str], **environment: str) -> Path:
    """`vercel build` in a clean copy, without an account; the folder of its output.

    Raises StackError with the CLI's own words.
    """
    result = run(folder, python, "build", "--yes", "--token", "none", **environment)
    if result.returncode != 0:
        raise StackError(f"vercel build failed:\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}")
    return folder / ".vercel" / "output"


def run(
    folder: Path, python: tuple[Path, str], *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The CLI in `folder`, as if linked to a project, with a configuration of its own and this Python."""
    program = command()
    (folder / ".vercel").mkdir(exist_ok=True)
    (folder / ".vercel" / "project.json").write_text(PROJECT)
    (folder / ".python-version").write_text(python[1] + "\n")
    line = [str(program), *arguments, "--global-config", str(LOCAL / "config")]
    return subprocess.run(
        line,
        cwd=folder,
        env={**cli_environment(folder, python), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )


def cli_environment(folder: Path, python: tuple[Path, str]) -> dict[str, str]:
    """The machine's environment without its virtual environment, and first in PATH: this Python, and the uv that the
    CLI's builder installs with."""
    programs = folder / ".vercel" / "programs"
    programs.mkdir(parents=True, exist_ok=True)
    wanted = {f"python{python[1]}": python[0], "python3": python[0], "uv": Path(uv.find_uv_bin())}
    for name, path in wanted.items():
        if not (programs / name).exists():
            (programs / name).symlink_to(path)
    dropped = ("VIRTUAL_ENV", "PYTHONPATH", "PYENV_VERSION", "NODE_OPTIONS")
    kept = {k: v for k, v in os.environ.items() if k not in dropped and not k.startswith(("VERCEL", "UV_"))}
    search = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    return {**kept, "PATH": search, "VERCEL_TELEMETRY_DISABLED": "1", "CI": "1"}
