"""What reserve and health are measured against: FastAPI, psycopg and one query, as short as can be."""

import os

import psycopg
from fastapi import FastAPI

app = FastAPI()


@app.get("/api/bare")
def bare() -> dict[str, int]:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=None) as connection:
        row = connection.execute("select count(*) from drops").fetchone()
        return {"drops": row[0] if row else 0}
