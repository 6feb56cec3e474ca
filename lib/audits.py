"""The audit: one typed function for each SQL function of sql/functions_audit.sql, which recompute drops from rows."""

from dataclasses import dataclass
from typing import Any

from lib import db, errors
from lib.records import Audit, NextAudit

# An audit reads every purchase of a drop: a million of them took 5 to 8 s here.
TIMEOUT_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class _Finding:
    rule: str
    relation: str
    row_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Id:
    id: int


def audit_drop(drop_id: int) -> Audit:
    """Recompute a drop from all its rows, and remember what was found. Raises DropNotFound, Busy (too long)."""
    query = "select * from audit_drop(%(drop)s, true)"
    audit = db.fetch_one(Audit, query, {"drop": drop_id}, TIMEOUT_SECONDS)
    if audit.outcome == errors.DropNotFound.code:
        raise errors.DropNotFound
    return audit


def audit_next() -> NextAudit:
    """Audit one drop that changed and whose turn it is, if there is one and nobody else audits."""
    return db.fetch_one(NextAudit, "select * from audit_next()", seconds=TIMEOUT_SECONDS)


def audit_rows(drop_id: int, seconds: float) -> list[dict[str, Any]]:
    """The findings of a drop, or of rows that name a drop that is not there; nothing is remembered."""
    query = "select rule, relation, row_id, detail from audit(%(drop)s, true)"
    found = db.fetch_all(_Finding, query, {"drop": drop_id}, seconds)
    return [{"rule": f.rule, "table": f.relation, "id": f.row_id, "detail": f.detail} for f in found]


def audit_ids(seconds: float) -> list[int]:
    """Every drop id that a row names, in order."""
    return [row.id for row in db.fetch_all(_Id, "select audit_ids as id from audit_ids()", seconds=seconds)]
