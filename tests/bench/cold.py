"""`make bench-cold`: from the start of a process to its first reply, for each function of the real Vercel build.

What is built is what Vercel builds from this repository as it is, and what the tests build: one configuration keeps all
bounds. The launcher is the platform's own, out of the build. A bare app (tests/bench/bare.py) is built beside the
functions; all take turns, so that whatever else the machine does falls on all alike. Exit code 1 if a bound is broken.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from dev import vercel_cli
from dev.npm import ROOT
from dev.ports import HOST
from dev.processes import StackError, guard
from tests.e2e import ADMIN, CRON
from tests.support.servers import ServerSet, with_channel
from tests.support.targets import target_environment
from tests.support.vercel_build import MAX_BUNDLE_BYTES, MISSING, Build, make_build, package_of
from tests.support.vercel_function import Function, unpack

# In times of the bare app's median.
BOUNDS = {"api/reserve": 1.25, "api/health": 1.1}
BARE = "api/bare"
# The first request of each function: method, path, body.
REQUESTS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    BARE: ("GET", "/api/bare", None),
    "api/health": ("GET", "/api/health", None),
    "api/reserve": ("POST", "/api/reserve/{drop}", {"userId": 1}),
    "api/purchase": ("POST", "/api/purchase/1", {"userId": 1}),
    "api/reservations": ("GET", "/api/reservations/1?userId=1", None),
    "api/drops": ("GET", "/api/drops", None),
    "api/users": ("POST", "/api/users", {"username": "cold-{number}"}),
    "api/realtime": ("GET", "/api/realtime", None),
    "api/docs": ("GET", "/api/docs", None),
    "api/admin": ("GET", "/api/admin/drops", None),
    "api/cron/reap": ("GET", "/api/cron/reap", None),
}


@dataclass
class Sample:
    """Seconds from start to first reply, and seconds of processor time until then, of one function."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


@contextmanager
def prepared(python: tuple[Path, str], bytecode: bool) -> Iterator[tuple[Build, dict[str, Path]]]:
    """The build with the bare app in it, and each function laid out as on the platform."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-cold-"))
    try:
        (folder / "code" / "api").mkdir(parents=True)
        shutil.copy(Path(__file__).with_name("bare.py"), folder / "code" / "api" / "bare.py")
        print("==> building with the Vercel CLI" + (", bytecode compiled" if bytecode else ""), flush=True)
        build = make_build(folder / "code", python, **({"VERCEL_PYTHON_COMPILEALL": "1"} if bytecode else {}))
        tasks = {name: folder / "task" / name.replace("/", "-") for name in REQUESTS}
        for name, task in tasks.items():
            unpack(build.folder, build.functions()[name], task)
        yield build, tasks
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def first_reply(build: Build, name: str, task: Path, environment: dict[str, str], number: int) -> tuple[float, float]:
    """(seconds, processor seconds) of one cold start."""
    method, path, body = REQUESTS[name]
    path = path.format(drop=environment["BENCH_DROP"])
    body = {k: v.format(number=number) if isinstance(v, str) else v for k, v in body.items()} if body else None
    config, headers = build.function_config(name), CRON if "cron" in name else ADMIN
    with httpx2.Client(timeout=60) as client:
        began = time.monotonic()
        function = Function(task, config, Path(build.python), environment)
        try:
            answer = client.request(method, f"http://{HOST}:{function.port}{path}", json=body, headers=headers)
            seconds = time.monotonic() - began
            fields = Path(f"/proc/{function.process.pid}/stat").read_text().rpartition(")")[2].split()
        finally:
            function.stop()
    assert answer.status_code in (200, 201, 404), (name, answer.text)  # 404: what is bought or looked at is not there
    return seconds, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    build: Build, tasks: dict[str, Path], environment: dict[str, str], rounds: int, names: list[str]
) -> dict[str, Sample]:
    samples: dict[str, Sample] = defaultdict(Sample)
    for number in range(rounds + 1):
        for name in names:
            wall, processor = first_reply(build, name, tasks[name], environment, number)
            if number:  # the first round only fills the file cache
                samples[name].wall.append(wall)
                samples[name].processor.append(processor)
        print(f"\r==> round {number} of {rounds}", end="", flush=True)
    print()
    return samples


def make_drop(database_url: str) -> str:
    """A drop and a user for reserve; the drop's id."""
    code = (
        "from decimal import Decimal; from lib import inventory; inventory.create_user('cold');"
        "print(inventory.create_drop(name='Cold', price=Decimal(1), sizes=[('', 100)])[0])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "DATABASE_URL": database_url}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return result.stdout.strip()


def import_times(python: Path, task: Path, name: str) -> Counter[str]:
    """Milliseconds that a function's imports take, by package: each module's own time, not that of what it imports."""
    code = f"import sys; sys.path.insert(0, '_vendor'); import {name.replace('/', '.')}"
    line = [str(python), "-s", "-X", "importtime", "-c", code]
    found: Counter[str] = Counter()
    for text in subprocess.run(line, cwd=task, capture_output=True, text=True, check=True).stderr.splitlines():
        own, _, module = text.removeprefix("import time:").split("|")
        if own.strip().isdigit():
            top = module.strip().partition(".")[0]
            found["standard library" if top in sys.stdlib_module_names else top] += int(own)
    return found


def print_times(samples: dict[str, Sample]) -> list[str]:
    """The table; returns which bounds are broken.

    On a machine with more to do than it has processors, waiting times say more about the others: there the processor
    time is judged, which is nearly all of a cold start anyway.
    """
    broken = []
    busy = os.getloadavg()[1] > 1.5 * (os.cpu_count() or 1)
    bare = {kind: statistics.median(getattr(samples[BARE], kind)) for kind in ("wall", "processor")}
    print(f"\n{'function':18} {'median':>8} {'quartiles':>15} {'ratio':>6} {'cpu':>8} {'ratio':>6}  bound")
    for name, sample in samples.items():
        median, processor = statistics.median(sample.wall), statistics.median(sample.processor)
        low, _, high = statistics.quantiles(sample.wall, n=4)
        ratio = median / bare["wall"]
        spread, bound = f"{low * 1000:.0f} to {high * 1000:.0f}", BOUNDS.get(name)
        print(
            f"{name:18} {median * 1000:5.0f} ms {spread:>15} {ratio:6.2f} {processor * 1000:5.0f} ms "
            f"{processor / bare['processor']:6.2f}  {bound or ''}"
        )
        judged = processor / bare["processor"] if busy else ratio
        if bound is not None and judged > bound:
            broken.append(f"{name} takes {judged:.2f} times as long as the bare app; the bound is {bound}")
    if busy:
        print("the machine is busy: bounds are held against processor time; measure again when it is quiet")
    return broken


def print_imports(build: Build, tasks: dict[str, Path]) -> None:
    print("\nimports, ms by package (own time)")
    for name, task in tasks.items():
        times = import_times(build.python, task, name)
        listed = ", ".join(f"{package} {own / 1000:.0f}" for package, own in times.most_common(9))
        print(f"{name:18} {sum(times.values()) / 1000:4.0f}: {listed}")


def print_bundle(build: Build) -> list[str]:
    """The table of what is in a function; returns whether it is too large, bytecode and all."""
    bytecode: Counter[str] = Counter()
    for path, size in build.files("api/reserve").items():
        if path.endswith(".pyc"):
            bytecode[package_of(path)] += size
    sizes = build.sizes("api/reserve")
    total = sum(sizes.values()) / 1e6
    print(f"\nbundle of api/reserve: {total:.1f} MB, {sum(bytecode.values()) / 1e6:.1f} MB of it bytecode; by package:")
    for package, size in sizes.most_common(20):
        print(f"  {package:44} {(size - bytecode[package]) / 1e6:6.2f} {bytecode[package] / 1e6:6.2f}")
    bound = MAX_BUNDLE_BYTES / 1e6
    return [f"the bundle is {total:.1f} MB; the bound is {bound:.0f}"] if total > bound else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="*", default=[], help="functions, such as api/reserve")
    parser.add_argument("--bytecode", action="store_true", help="as Vercel builds with VERCEL_PYTHON_COMPILEALL=1")
    options = parser.parse_args()
    python = vercel_cli.find_python()
    if python is None:
        raise StackError(MISSING)
    servers = ServerSet()
    try:
        with (
            prepared(python, options.bytecode) as (build, tasks),
            with_channel(servers.start()) as complete,
            target_environment(complete) as environment,
        ):
            environment |= {"BENCH_DROP": make_drop(environment["DATABASE_URL"]), "SWEEP_BUDGET_SECONDS": "0"}
            names = [BARE, *options.only] if options.only else list(REQUESTS)
            broken = print_times(measure(build, tasks, environment, options.rounds, names))
            print_imports(build, {name: tasks[name] for name in names})
            broken += print_bundle(build)
    finally:
        servers.stop()
        guard.close()
    print("\n" + ("\n".join(broken) or "every bound is kept"))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
