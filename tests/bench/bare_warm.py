"""The yardstick of HTTP figures: a FastAPI route that does one trivial query on a connection that is open already."""

from __future__ import annotations

import os
from queue import LifoQueue
from typing import Any

import psycopg
from fastapi import FastAPI

CONNECTIONS = 10  # as many as the functions' own pool has

app = FastAPI()
_idle: LifoQueue[psycopg.Connection[Any]] = LifoQueue()


def connect() -> None:
    """Fill the pool, before the first request."""
    for _ in range(CONNECTIONS):
        _idle.put(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=None))


@app.get("/bare")
def bare() -> dict[str, int]:
    connection = _idle.get()
    try:
        row = connection.execute("select 1").fetchone()
    finally:
        _idle.put(connection)
    return {"one": row[0] if row else 0}
