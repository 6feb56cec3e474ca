"""AWS SAM's command line tool in a virtual environment of its own: it pins other versions than our functions need.

`python -m dev.sam validate --lint`, `python -m dev.sam build`, `python -m dev.sam deploy --guided`, ...
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dev.processes import StackError, say

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
VENV = LOCAL / "sam-venv"
# Every file has its hash in these; `make lock` writes them.
REQUIREMENTS = ROOT / "dev" / "sam-requirements.txt"
# What Lambda's own Python brings along.
RUNTIME_REQUIREMENTS = ROOT / "dev" / "lambda-runtime-requirements.txt"
INSTALL_SECONDS = 600.0
# Without looking for what else they need: the lists are complete.
PIP = ("-m", "pip", "install", "-qq", "--require-hashes", "--no-deps")
# Any: only deploying asks which.
REGION = "us-east-1"


def sam() -> Path:
    """The program; installs it at the first call, which takes two minutes. Raises StackError."""
    stamp = VENV / ".installed"
    wanted = REQUIREMENTS.read_text()
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / "sam.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            say("  pip: AWS SAM into .local/sam-venv")
            shutil.rmtree(VENV, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(VENV)])
            _run([str(VENV / "bin" / "python"), *PIP, "-r", str(REQUIREMENTS)])
            stamp.write_text(wanted)
    return VENV / "bin" / "sam"


def environment() -> dict[str, str]:
    """For running it: no telemetry, no questions to the network, a region."""
    return {
        "AWS_DEFAULT_REGION": REGION,
        # It has pip, which the system's Python may not.
        "HOLDFAST_BUILD_PYTHON": sys.executable,
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_VERSION_CHECK": "0",
        "PYTHONWARNINGS": "",
    }


def emulator() -> Path | None:
    """AWS' Lambda Runtime Interface Emulator for this machine; None if there is none."""
    machine = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return None
    sam()
    found = list(VENV.glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"))
    for program in found:
        program.chmod(program.stat().st_mode | 0o111)
    return found[0] if found else None


def runtime(python: str) -> Path:
    """A folder with what Lambda's own Python has beyond the standard library, for this interpreter."""
    key = hashlib.sha256(python.encode() + RUNTIME_REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = LOCAL / f"lambda-runtime-{key}"
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / "lambda-runtime.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            half_made = folder.with_suffix(".part")
            shutil.rmtree(half_made, ignore_errors=True)
            _run([python, *PIP, "--target", str(half_made), "-r", str(RUNTIME_REQUIREMENTS)])
            half_made.rename(folder)
    return folder


def _run(command: Sequence[str]) -> None:
    variables = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS, cwd=ROOT, env=variables
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f"`{' '.join(command)}` did not finish; check the network and try again.") from error
    if result.returncode != 0:
        raise StackError(f"`{' '.join(command)}` failed:\n{result.stderr.strip()[-2000:]}")


def main() -> int:
    try:
        program = sam()
    except StackError as error:
        sys.exit(f"error: {error}")
    return subprocess.run([str(program), *sys.argv[1:]], env=environment(), cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
