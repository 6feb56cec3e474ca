"""Which packages are locked, at which version."""

import re
from pathlib import Path

from dev.npm import ROOT


def canonical(name: str) -> str:
    """As in the lock (PEP 503): PyJWT is pyjwt, psycopg_binary is psycopg-binary."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(requirements: Path) -> dict[str, str]:
    """{package: version} of a requirements file, but for those of other systems than Linux and macOS."""
    lines = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([\w.]+)(?: ; (.*?))? \\$", requirements.read_text(), re.MULTILINE)
    return {canonical(name): version for name, version, marker in lines if "win32" not in marker}


def runtime_packages() -> dict[str, str]:
    """{package: version} of what a function needs, whatever the platform: Lambda's list without Lambda's own."""
    found = pins(ROOT / "requirements-lambda.txt")
    del found["mangum"]
    return found
