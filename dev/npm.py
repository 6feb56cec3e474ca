"""What comes from npm: the browser libraries under public/vendor, and soketi with a Node that can run it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from dev.processes import StackError, say

ROOT = Path(__file__).resolve().parent.parent
DEV = ROOT / "dev"
VENDOR = ROOT / "public" / "vendor"
NODE_OLDEST = 18
# soketi's native WebSocket library: on 22 and 24 it starts, and then lets nobody connect.
SOKETI_NODES = (18, 20)
INSTALL_SECONDS = 600.0


def node_major(program: str | Path) -> int | None:
    """The major version of this Node; None if it does not run."""
    try:
        result = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"v(\d+)\.", result.stdout)
    return int(match[1]) if match else None


def require_node() -> str:
    """The machine's own Node. Raises StackError if it, or npm, is missing or too old."""
    node, npm = shutil.which("node"), shutil.which("npm")
    remedy = f"install Node {NODE_OLDEST} or newer from https://nodejs.org, or with your package manager."
    if node is None:
        raise StackError(f"Node is missing; {remedy}")
    major = node_major(node)
    if major is None or major < NODE_OLDEST:
        raise StackError(f"Node {major or 'at ' + node} is too old or does not run; {remedy}")
    if npm is None:
        raise StackError(f"npm is missing beside Node; {remedy}")
    return node


def ensure_vendor() -> None:
    """Copy the browser libraries to public/vendor, unless that was done for this package-lock.json."""
    with _locked(ROOT):
        if _is_current(ROOT, "vendor") and (VENDOR / "pusher.min.js").exists():
            return
        say("  npm: pusher-js, uPlot, Swagger UI and the shop's font into public/vendor")
        _npm(["ci", "--ignore-scripts"], ROOT)
        _npm(["run", "vendor"], ROOT)
        _mark_current(ROOT, "vendor")


@cache
def soketi_command() -> tuple[Path, Path]:
    """(node, server.js) that run soketi; installs what is missing."""
    server = DEV / "node_modules" / "@soketi" / "soketi" / "bin" / "server.js"
    system_node = require_node()
    bundled = os.environ.get("HOLDFAST_DEV_BUNDLED_NODE") == "1" or node_major(system_node) not in SOKETI_NODES
    with _locked(DEV):
        wanted = "soketi-node20" if bundled else "soketi"
        if not (_is_current(DEV, wanted) or _is_current(DEV, "soketi-node20")):
            say("  npm: soketi" + (" and Node 20 for it" if bundled else "") + " into dev/node_modules")
            # The optional packages are a Node 20 for each platform, 150 MB: only where one is needed.
            _npm(["ci", "--ignore-scripts", *([] if bundled else ["--omit=optional"])], DEV)
            _mark_current(DEV, wanted)
    return (_bundled_node() if bundled else Path(system_node)), server


def _bundled_node() -> Path:
    node = DEV / "node_modules" / ".bin" / "node"
    if node_major(node) not in SOKETI_NODES:
        raise StackError(
            "npm has no Node 20 that runs on this machine, and soketi needs Node 18 or 20; install Node 20."
        )
    return node


def _npm(arguments: list[str], folder: Path) -> None:
    command = ["npm", *arguments, "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    environment = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}
    try:
        result = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise StackError("npm did not finish within 10 minutes; check the network and try again.") from error
    if result.returncode != 0:
        raise StackError(f"`npm {' '.join(arguments)}` failed in {folder}:\n{result.stderr.strip()[-2000:]}")


def _fingerprint(folder: Path) -> str:
    package = (folder / "package.json").read_bytes() + (folder / "package-lock.json").read_bytes()
    return hashlib.sha256(package).hexdigest()


def _stamp(folder: Path, what: str) -> Path:
    return folder / "node_modules" / f".holdfast-{what}"


def _is_current(folder: Path, what: str) -> bool:
    stamp = _stamp(folder, what)
    return stamp.exists() and stamp.read_text() == _fingerprint(folder)


def _mark_current(folder: Path, what: str) -> None:
    _stamp(folder, what).write_text(_fingerprint(folder))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One installer at a time: `make dev` and parallel test processes share these folders."""
    local = ROOT / ".local"
    local.mkdir(exist_ok=True)
    with (local / f"npm-{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    ensure_vendor()
    soketi_command()
