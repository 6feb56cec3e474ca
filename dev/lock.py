"""`make lock`: what pyproject.toml and dev/sam-requirements.in name, resolved to every file, each with its hash.

uv.lock is what Vercel's builder installs from; pip installs from the requirements files. What is locked stays, unless
pyproject.toml wants another; ARGS="--upgrade-package NAME" takes the newest that still fits.
"""

from __future__ import annotations

import subprocess
import sys

import uv

from dev.npm import ROOT
from dev.processes import StackError, say

HEADER = "# Written by `make lock`; do not edit. Every file that pip may install has its hash here.\n"
# What pip installs from, by the groups of pyproject.toml that are in it.
EXPORTS: dict[str, tuple[str, ...]] = {
    "requirements-dev.txt": ("--group", "dev"),
    "requirements-lambda.txt": ("--no-dev", "--group", "lambda"),
    "dev/lambda-runtime-requirements.txt": ("--only-group", "lambda-runtime"),
}
SAM = ("dev/sam-requirements.in", "dev/sam-requirements.txt")


def export(*groups: str) -> str:
    """The requirements of these groups as uv.lock has them. Needs no network."""
    flags = ("--frozen", "--no-emit-project", "--no-header", "--no-annotate", "--format", "requirements.txt")
    return HEADER + _uv("export", *flags, *groups)


def lock(*arguments: str) -> None:
    say("==> uv.lock")
    _uv("lock", *arguments)
    for name, groups in EXPORTS.items():
        say(f"==> {name}")
        (ROOT / name).write_text(export(*groups))
    say(f"==> {SAM[1]}")
    flags = ("--universal", "--generate-hashes", "--python-version", "3.11", "--no-header", "--no-annotate")
    # What is there already is kept, where it still fits.
    _uv("pip", "compile", *flags, *arguments, SAM[0], "--output-file", SAM[1])
    compiled = ROOT / SAM[1]
    compiled.write_text(HEADER + compiled.read_text().removeprefix(HEADER))


def _uv(*arguments: str) -> str:
    line = [uv.find_uv_bin(), *arguments, "--no-python-downloads", "--quiet"]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    if result.returncode != 0:
        raise StackError(f"uv {arguments[0]} failed:\n{result.stderr.strip()[-2000:]}")
    return result.stdout


def main() -> int:
    try:
        lock(*sys.argv[1:])
    except StackError as error:
        sys.exit(f"error: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
