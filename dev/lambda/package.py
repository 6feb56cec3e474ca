"""Fills one function's folder for `sam build`: the code that runs, its dependencies for Lambda's Linux, bytecode.

Tests, SQL, pages and the local stack stay out. Dependencies are fetched once for all functions and builds.
LAMBDA_ARCH (x86_64 or arm64) must be what the parameter Architecture of template.yaml will be;
LAMBDA_PYTHON_VERSION what its Runtime is. Runs on the standard library and pip alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".local" / "lambda"
PACKAGES = ("api", "lib", "scheduled")
PYTHON_VERSION = os.environ.get("LAMBDA_PYTHON_VERSION") or "3.12"
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
# Lambda's Python 3.12 runs on Amazon Linux 2023, which has glibc 2.34.
PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux2014", "manylinux_2_17", "manylinux_2_5")


def interpreter() -> str | None:
    """A Python of exactly PYTHON_VERSION, whose bytecode Lambda's Python takes; None if this machine has none."""
    name = f"python{PYTHON_VERSION}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [
        sys.executable,
        shutil.which(name) or "",
        *map(str, sorted(pyenv.glob(f"{PYTHON_VERSION}.*/bin/{name}"))),
    ]
    for candidate in filter(None, candidates):
        probe = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        result = subprocess.run(probe, capture_output=True, text=True)
        if result.returncode == 0 and result.stdout.strip() == PYTHON_VERSION:
            return candidate
    return None


def dependencies(arch: str) -> Path:
    """A folder with the installed packages, made at the first call for these requirements."""
    wanted = (ROOT / "requirements-lambda.txt").read_bytes()
    python = interpreter()
    key = hashlib.sha256(b"\0".join([wanted, arch.encode(), PYTHON_VERSION.encode(), (python or "").encode()]))
    folder = CACHE / key.hexdigest()[:16]
    if not folder.exists():
        half_made = folder.with_suffix(".part")
        shutil.rmtree(half_made, ignore_errors=True)
        _install(half_made, arch)
        _compile(half_made, python)
        half_made.rename(folder)
    return folder


def _install(folder: Path, arch: str) -> None:
    platforms = [f"--platform={platform}_{MACHINES[arch]}" for platform in PLATFORMS]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-conflicts"),
            "--no-compile",
            "--require-hashes",
            *("--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON_VERSION}", *platforms),
            *("--target", str(folder), "--requirement", str(ROOT / "requirements-lambda.txt")),
        ],
        check=True,
    )
    shutil.rmtree(folder / "bin", ignore_errors=True)


def _compile(folder: Path, python: str | None) -> None:
    """Bytecode that is never checked against its source: the zip on Lambda does not keep the times exactly."""
    if python is None:
        print(f"No Python {PYTHON_VERSION} here: no bytecode is shipped, and cold starts take about 0.3 s longer.")
        return
    command = [python, "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash", "."]
    subprocess.run(command, check=True, cwd=folder)


def package(target: Path, arch: str) -> None:
    for source in (dependencies(arch), *(ROOT / name for name in PACKAGES)):
        for path in sorted(source.rglob("*")):
            code_of_ours = source.name in PACKAGES
            if not path.is_file() or (code_of_ours and path.suffix != ".py"):
                continue
            place = target / (path.relative_to(ROOT) if code_of_ours else path.relative_to(source))
            place.parent.mkdir(parents=True, exist_ok=True)
            if code_of_ours:
                shutil.copy2(path, place)
            else:
                _link(path, place)
    python = interpreter()
    if python is not None:
        # Relative names in the bytecode: the same files wherever they are built.
        command = [python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", *PACKAGES]
        subprocess.run(command, check=True, cwd=target)


def _link(path: Path, place: Path) -> None:
    """The dependencies once on disk, not nine times."""
    try:
        os.link(path, place)
    except OSError:
        shutil.copy2(path, place)


def main() -> None:
    arch = os.environ.get("LAMBDA_ARCH") or "x86_64"
    if arch not in MACHINES:
        sys.exit(f"LAMBDA_ARCH is x86_64 or arm64, not {arch}.")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        package(Path(sys.argv[1]), arch)


if __name__ == "__main__":
    main()
