"""Runs the scripts of tests/bench/pgbench with the pgbench that ships with the embedded Postgres."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from dev.ports import HOST
from dev.postgres import binary
from tests.bench.size import Size
from tests.bench.stack import DATABASE, Stack

SCRIPTS = Path(__file__).with_name("pgbench")


@dataclass(frozen=True, slots=True)
class Run:
    """Transactions a second and the mean of their latencies, once the connections are warm."""

    per_second: float
    latency_ms: float
    # All transactions, those of the warming up too.
    processed: int = field(default=0, compare=False)


def run(stack: Stack, script: str, drop_id: int, connections: int, size: Size, database: str = DATABASE) -> Run:
    """One slot of a script straight on Postgres, after warming up.

    Each connection has users of its own and takes the next one for each transaction, as a crowd of buyers would be.
    -M extended is what psycopg sends through a transaction pooler.
    """
    seconds = size.warm_seconds + size.slot_seconds
    block = stack.users // connections
    command = [
        str(binary("pgbench")), f"--host={HOST}", f"--port={stack.postgres.port}", "--username=postgres", "--no-vacuum",
        "--protocol=extended", f"--client={connections}", f"--jobs={min(2, connections)}", f"--time={seconds}",
        "--progress=1", f"--file={SCRIPTS / script}.sql", f"--define=drop={drop_id}", f"--define=block={block}",
        "--define=n=0", database,
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True)
    failed = re.search(r"number of failed transactions: (\d+)", result.stdout)
    if result.returncode != 0 or failed is None or failed[1] != "0":
        raise RuntimeError(f"pgbench {script} failed:\n{result.stdout[-1000:]}{result.stderr[-2000:]}")
    return _after(size.warm_seconds, result.stdout, result.stderr)


def _after(warm_seconds: int, summary: str, progress: str) -> Run:
    """The whole run less its first seconds. (pgbench may end before it tells of the last one.)"""
    count, rate, latency = (
        float(re.findall(pattern, summary)[0])
        for pattern in (
            r"transactions actually processed: (\d+)",
            r"tps = ([\d.]+)",
            r"latency average = ([\d.]+) ms",
        )
    )
    told = re.findall(r"^progress: ([\d.]+) s, ([\d.]+) tps, lat ([\d.]+) ms", progress, re.MULTILINE)
    warm = [tuple(map(float, line)) for line in told[:warm_seconds]]
    seconds = count / rate - (warm[-1][0] if warm else 0.0)
    if not warm or seconds < 0.5:  # on a machine so busy that it told late
        return Run(rate, latency, int(count))
    before = sum(first_rate for _, first_rate, _ in warm)
    waited = sum(first_rate * first_latency for _, first_rate, first_latency in warm)
    return Run((count - before) / seconds, (count * latency - waited) / (count - before), int(count))
