"""Migrations: the same schema however often, from wherever and however concurrently they run; or no change at all."""

import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from lib import errors, inventory
from lib import migrate as migrations
from lib.migrate import ChangedMigration, migrate
from tests.support.buyers import all_at_once
from tests.support.servers import Servers

SQL = Path(migrations.__file__).parent.parent / "sql"

SCHEMA = {
    "columns": """select table_name, ordinal_position, column_name, data_type, is_nullable, column_default, is_identity
                  from information_schema.columns where table_schema = 'public'""",
    "constraints": """select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
                      from pg_constraint where connamespace = 'public'::regnamespace""",
    "indexes": "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public'",
    "functions": """select oid::regprocedure::text, pg_get_functiondef(oid)
                    from pg_proc where pronamespace = 'public'::regnamespace""",
    "views": "select viewname, definition from pg_views where schemaname = 'public'",
    "storage": "select relname, reloptions from pg_class where relnamespace = 'public'::regnamespace",
    "ledger": "select name, sha256 from schema_migrations",
}

_numbers = itertools.count(1)


@pytest.fixture
def empty_database(servers: Servers) -> Iterator[Callable[[], str]]:
    """empty_database(): the direct URL of a new database without any table."""
    names: list[str] = []
    with psycopg.connect(servers.direct_url("postgres"), autocommit=True) as admin:

        def make() -> str:
            names.append(f"empty_{os.getpid()}_{next(_numbers)}")
            admin.execute(f"create database {names[-1]} template template0")
            return servers.direct_url(names[-1])

        yield make
        for name in names:
            admin.execute(f"drop database {name} with (force)")


def _schema(url: str) -> dict[str, list[str]]:
    with psycopg.connect(url) as connection:
        return {part: sorted(map(str, connection.execute(query))) for part, query in SCHEMA.items()}


@pytest.fixture
def own_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of sql/ that lib.migrate applies and that a test may change."""
    for path in SQL.glob("*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(migrations, "SQL", tmp_path)
    return tmp_path


def test_migrating_again_gives_the_same_schema_as_once(empty_database):
    url = empty_database()
    assert migrate(url) == [path.name for path in migrations.numbered_files()]
    once = _schema(url)
    assert len(once["functions"]) > 20 and len(once["constraints"]) > 20
    assert migrate(url) == []
    assert _schema(url) == once


def test_two_deployments_at_once_on_an_empty_database_give_the_same_schema_as_one(empty_database):
    alone, shared = empty_database(), empty_database()
    migrate(alone)
    applied = all_at_once([lambda: migrate(shared)] * 3)
    assert sorted(applied) == [[], [], [path.name for path in migrations.numbered_files()]]
    assert _schema(shared) == _schema(alone)


def test_a_database_at_an_older_file_gets_only_what_is_missing(empty_database, own_sql):
    url = empty_database()
    migrate(url)
    (own_sql / "9999_more.sql").write_text("create table more (id bigint primary key);")
    assert migrate(url) == ["9999_more.sql"]
    fresh = empty_database()
    migrate(fresh)
    assert _schema(url) == _schema(fresh)


def test_a_changed_numbered_file_is_refused(empty_database, own_sql):
    url = empty_database()
    migrate(url)
    before = _schema(url)
    first = own_sql / migrations.numbered_files()[0].name
    first.write_text(first.read_text() + "\ncreate table sneaked_in (id bigint);\n")
    with pytest.raises(ChangedMigration, match=first.name):
        migrate(url)
    assert _schema(url) == before


@pytest.mark.parametrize("broken", ["9999_broken.sql", "functions_zz.sql"])
def test_a_failing_migration_changes_nothing(empty_database, own_sql, broken):
    url = empty_database()
    migrate(url)
    before = _schema(url)
    (own_sql / "9998_good.sql").write_text("create table good (id bigint primary key);")
    (own_sql / broken).write_text("create table half (id bigint primary key); select 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(url)
    assert _schema(url) == before


def test_a_failing_first_migration_leaves_the_database_empty(empty_database, own_sql):
    url = empty_database()
    (own_sql / "9999_broken.sql").write_text("select 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(url)
    with psycopg.connect(url) as connection:
        tables = "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
        assert connection.execute(tables).fetchone() == (0,)


def test_every_constraint_is_named_by_its_rule(empty_database):
    """Names that Postgres makes up for checks and uniqueness say nothing to who reads an error."""
    url = empty_database()
    migrate(url)
    with psycopg.connect(url) as connection:
        query = "select conname from pg_constraint where contype in ('c', 'u') and conrelid <> 0"
        names = [name for (name,) in connection.execute(query)]
    assert names and not [name for name in names if re.search(r"_(check|key)\d*$", name)]


def _outcomes() -> set[str]:
    """Every text that functions in sql/ put into `outcome` or return as one; states are in capitals."""
    text = "\n".join(re.sub(r"--.*", "", path.read_text()) for path in SQL.glob("functions*.sql"))
    return set(re.findall(r"(?:outcome :=|\bthen|\belse|\breturn) '([a-z_]+)'", text))


def test_every_outcome_of_sql_is_a_code_of_the_errors_or_a_success():
    """Anything else would reach a client as a failure without a name."""
    outcomes = _outcomes()
    assert {"ok", "replayed", "sold_out", "busy", "drop_paused", "reservation_expired", "stock_committed"} <= outcomes
    assert outcomes - {"ok", "replayed"} <= set(errors.BY_CODE)


def test_every_conflict_of_the_errors_is_decided_in_sql():
    """A code that nothing returns any more would be documented and dead."""
    conflicts = {code for code, error in errors.BY_CODE.items() if issubclass(error, errors.Conflict)}
    assert conflicts <= _outcomes()


@pytest.mark.parametrize(
    "removal",
    [
        "delete from users where id = 1",
        "update users set id = default where id = 1",
        "truncate users cascade",
        "delete from stock_stripes where drop_id = 1",
        "update stock_stripes set stripe = 9 where drop_id = 1",
        "truncate stock_stripes cascade",
        "delete from reservations where status = 'PURCHASED'",
        "update reservations set id = default where status = 'PURCHASED'",
        "truncate reservations cascade",
    ],
)
def test_what_reservations_and_purchases_point_to_is_never_removed(database, make_users, make_drop, removal):
    """They have no foreign keys to buyers, stripes and holds, which cost each reserve and each purchase two queries."""
    (buyer,) = make_users(1)
    inventory.purchase(inventory.reserve(make_drop(), buyer).id, buyer)
    with pytest.raises(psycopg.errors.RestrictViolation):
        database.connection.execute(removal)


@pytest.mark.parametrize(
    "change",
    ["status = 'LOST', closed_at = now()", "closed_at = now()", "status = 'RELEASED'", "expires_at = created_at"],
)
def test_a_reservation_that_makes_no_sense_is_refused(database, make_users, make_drop, change):
    inventory.reserve(make_drop(), make_users(1)[0])
    with pytest.raises(psycopg.errors.CheckViolation, match="reservation_is_sound"):
        database.connection.execute(f"update reservations set {change}")
