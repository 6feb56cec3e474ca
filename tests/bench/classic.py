"""How a limited drop is usually sold: one counter a drop, read under its row lock. For comparison only.

Written to be as good as the pattern allows: five round trips, no second lock, only the indexes that the work needs,
connections kept open. `classic_reserve.sql` is the same for pgbench.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from queue import LifoQueue
from typing import Any

import psycopg
from fastapi import FastAPI, HTTPException
from psycopg.rows import dict_row
from pydantic import BaseModel

TABLES = """
create table classic_drops (
  id bigint primary key, name text not null, price numeric(12, 2) not null, total_stock integer not null,
  available_stock integer not null check (available_stock >= 0), drop_start_time timestamptz not null,
  hold_seconds integer not null
) with (fillfactor = 50);
create table classic_reservations (
  id bigint generated always as identity primary key, user_id bigint not null references users (id),
  drop_id bigint not null references classic_drops (id), status text not null, expires_at timestamptz not null
);
create unique index on classic_reservations (drop_id, user_id) where status = 'ACTIVE';
create index on classic_reservations (expires_at) where status = 'ACTIVE';
create table floor (
  id bigint generated always as identity primary key, user_id bigint not null, drop_id bigint not null,
  status text not null, expires_at timestamptz not null
);
"""
MAKE_DROP = """
insert into classic_drops values (%(id)s, 'Bench', 100, %(units)s, %(units)s, clock_timestamp(), %(hold_seconds)s)
"""
# As many as the functions' own pool has.
CONNECTIONS = 10

app = FastAPI()
_idle: LifoQueue[psycopg.Connection[Any]] = LifoQueue()


class ReserveRequest(BaseModel):
    userId: int


class Reservation(BaseModel):
    id: int
    user_id: int
    drop_id: int
    status: str
    expires_at: datetime


class ReserveResponse(BaseModel):
    message: str
    reservation: Reservation


def connect() -> None:
    """Fill the pool, before the first request."""
    for _ in range(CONNECTIONS):
        _idle.put(
            psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=None, row_factory=dict_row)
        )


@app.post("/classic/{drop_id}", status_code=201)
def reserve(drop_id: int, body: ReserveRequest) -> ReserveResponse:
    connection = _idle.get()
    try:
        with connection.transaction():
            drop = connection.execute("select * from classic_drops where id = %s for update", [drop_id]).fetchone()
            if drop is None:
                raise HTTPException(404, "Drop not found")
            now = datetime.now(UTC)
            if drop["drop_start_time"] > now:
                raise HTTPException(409, "Drop has not started")
            if drop["available_stock"] <= 0:
                raise HTTPException(409, "Sold out")
            row = connection.execute(
                "insert into classic_reservations (user_id, drop_id, status, expires_at) "
                "values (%s, %s, 'ACTIVE', %s) returning *",
                [body.userId, drop_id, now + timedelta(seconds=drop["hold_seconds"])],
            ).fetchone()
            connection.execute(
                "update classic_drops set available_stock = available_stock - 1 where id = %s", [drop_id]
            )
        assert row is not None
        return ReserveResponse(message="Reserved", reservation=Reservation(**row))
    finally:
        _idle.put(connection)
