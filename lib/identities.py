"""Whose user a token's subject is."""

from dataclasses import dataclass
from functools import lru_cache

from lib import db

# How many buyers a process remembers; who is forgotten costs one more look at the database.
REMEMBERED_BUYERS = 10_000


@dataclass(frozen=True, slots=True)
class _UserId:
    id: int


@lru_cache(maxsize=REMEMBERED_BUYERS)
def user_id_of(issuer: str, subject: str, username: str) -> int:
    """The user of a subject; a new one, with that name or one like it, at first sight.

    Remembered, so that a buyer costs one round trip, not one a call.
    """
    params = {"issuer": issuer, "subject": subject, "username": username}
    query = "select user_for_subject(%(issuer)s, %(subject)s, %(username)s) as id"
    return db.fetch_one(_UserId, query, params).id
