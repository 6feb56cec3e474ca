"""Scenario 2: the answer "sold out", nearly all of a drop's traffic: no write, no lock."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.bench import pgbench
from tests.bench.measure import Progress, Report, interleave
from tests.bench.size import Size
from tests.bench.stack import Stack

NAME = "refusals"
TITLE = "Sold-out refusals in SQL"
TIMES_FLOOR = 1.0
UNITS = 256  # 64 stripes, as any large drop has
PROOF_CALLS = 1_000


def run(stack: Stack, size: Size, progress: Progress) -> Report:
    report = Report(NAME, TITLE)
    drop_id = sold_out_drop(stack)
    for connections in size.connections:
        found = _measure(stack, size, progress, drop_id, connections)
        for name, samples in found.items():
            report.figure(f"{name}, {connections} connections", "/s", samples)
        if connections == 16:
            report.at_least("refusals : floor, 16 connections", TIMES_FLOOR, found["refusals"], found["floor"])
    progress("what refusals write and lock")
    _prove(stack, drop_id, report)
    return report


def _measure(stack: Stack, size: Size, progress: Progress, drop_id: int, connections: int) -> dict[str, list[float]]:
    subjects = {
        "refusals": lambda: pgbench.run(stack, "reserve", drop_id, connections, size).per_second,
        "floor": lambda: pgbench.run(stack, "floor", 0, connections, size).per_second,
    }
    return interleave(subjects, size.rounds, lambda text: progress(f"{connections} connections, {text}"))


def sold_out_drop(stack: Stack) -> int:
    """A drop whose last users hold every unit; the users that a crowd begins with hold none."""
    drop_id = stack.make_drop(UNITS)
    query = "select count(*) from generate_series(%s::bigint, %s) n, reserve(%s, n, null) r where r.outcome = 'ok'"
    held = stack.value(query, [stack.users - UNITS + 1, stack.users, drop_id])
    assert held == UNITS
    return drop_id


def _prove(stack: Stack, drop_id: int, report: Report) -> None:
    """From Postgres' own books: what the refusals of one session wrote to the log, and which locks they left."""
    refuse = "select count(*) from generate_series(1, %s) n, reserve(%s, n, null) r where r.outcome = 'sold_out'"
    with stack.connect() as connection:
        assert _one(connection, refuse, PROOF_CALLS, drop_id) == PROOF_CALLS
        before = _wal(connection)
        assert _one(connection, refuse, PROOF_CALLS, drop_id) == PROOF_CALLS
        written = _wal(connection) - before
        with connection.transaction():
            _one(connection, refuse, 1, drop_id)
            xid = _one(connection, "select pg_current_xact_id_if_assigned()::text")
            modes = connection.execute(
                "select distinct mode from pg_locks where pid = pg_backend_pid() and locktype <> 'virtualxid'"
            ).fetchall()
    locks = sorted(mode for (mode,) in modes)
    report.data |= {"wal_bytes": written, "calls": PROOF_CALLS, "lock_modes": locks, "transaction_id": xid}
    report.figure(f"log written by {PROOF_CALLS:,} refusals", "bytes", [float(written)])
    report.figure("row locks of a refusal (a row lock needs a transaction id)", "", [0.0 if xid is None else 1.0])
    report.notes.append(f"table locks of a refusal: {', '.join(locks)} (what every select takes)")


def _wal(connection: psycopg.Connection[Any]) -> int:
    """Bytes of log that this session has written so far."""
    connection.execute("select pg_stat_force_next_flush()")
    return int(_one(connection, "select wal_bytes from pg_stat_get_backend_wal(pg_backend_pid())"))


def _one(connection: psycopg.Connection[Any], query: str, *params: Any) -> Any:
    row = connection.execute(query, params).fetchone()
    assert row is not None
    return row[0]
