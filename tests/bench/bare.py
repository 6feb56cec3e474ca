"""What reserve and health are measured against: FastAPI, psycopg and one query, as short as can be."""

import os

import psycopg
from fastapi import FastAPI

app = FastAPI()


@app.get("/api/bare")
def bare() -> dict[str, int]:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=None) as connection:
        # No table: the functions' user may read none.
        row = connection.execute("select 1").fetchone()
        return {"one": row[0] if row else 0}
