"""Brings a database to this version: `python -m lib.migrate`. Safe to run twice, and from two deployments at once.

Everything happens in one transaction under one lock: the numbered files that were not applied yet, in their order, then
every sql/functions*.sql again. Either all of it is there afterwards or nothing changed.
"""

import hashlib
import re
import sys
from pathlib import Path

import psycopg
from dotenv import load_dotenv
from psycopg.conninfo import conninfo_to_dict

from lib.settings import settings

SQL = Path(__file__).resolve().parent.parent / "sql"
# Any number that nothing else in the database locks; held to the end of the transaction, so it works through a pooler.
LOCK = 72_177_001

_LEDGER = """
create table if not exists schema_migrations (
  name text primary key,
  sha256 text not null,
  applied_at timestamptz not null default now()
)
"""


class ChangedMigration(Exception):
    """A numbered file differs from what was applied. They are immutable: put the change into a new file."""


def migrate(url: str) -> list[str]:
    """Apply what is missing; the names of the numbered files applied. Raises ChangedMigration, psycopg.Error."""
    with psycopg.connect(url, prepare_threshold=None, connect_timeout=10) as connection:
        connection.add_notice_handler(_tell)
        connection.execute("select pg_advisory_xact_lock(%s)", [LOCK])
        # A deployment gives up rather than make buyers queue behind a table lock that it waits for.
        connection.execute("set local lock_timeout = '5s'")
        connection.execute(_LEDGER)
        applied: dict[str, str] = dict(connection.execute("select name, sha256 from schema_migrations").fetchall())
        new = []
        for path in numbered_files():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if path.name not in applied:
                _run(connection, path)
                connection.execute("insert into schema_migrations (name, sha256) values (%s, %s)", [path.name, digest])
                new.append(path.name)
            elif applied[path.name] != digest:
                raise ChangedMigration(f"{path.name} was changed after it was applied. Put the change into a new file.")
        for path in function_files():
            _run(connection, path)
    return new


def numbered_files() -> list[Path]:
    return sorted(path for path in SQL.glob("*.sql") if re.match(r"\d{4}_", path.name))


def function_files() -> list[Path]:
    """functions.sql comes first by its name; the others use what it defines only inside bodies.

    functions_security.sql comes last: it says who may call them.
    """
    return sorted(SQL.glob("functions*.sql"))


def _tell(notice: psycopg.errors.Diagnostic) -> None:
    """What somebody has to do about: that this user may not make roles, for one."""
    if notice.severity_nonlocalized == "WARNING":
        print(f"warning: {notice.message_primary}", file=sys.stderr)


def _run(connection: psycopg.Connection[tuple[object, ...]], path: Path) -> None:
    # Without parameters psycopg sends the file in one simple query, which may hold many statements.
    connection.execute(path.read_bytes())


def main() -> int:
    # For people, who have a .env; platforms set the environment itself. What is set already wins.
    load_dotenv()
    s = settings()
    url = s.database_url_unpooled or s.database_url
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Its words quote the URL, and with it the password.
        print("DATABASE_URL_UNPOOLED (or DATABASE_URL) cannot be read: no postgresql:// URL.", file=sys.stderr)
        return 1
    try:
        new = migrate(url)
    except (ChangedMigration, psycopg.Error) as error:
        print(f"Migration failed, nothing was changed: {error}", file=sys.stderr)
        return 1
    print(f"Migrated: {', '.join(new) if new else 'no new tables'}; functions re-applied.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
