"""What the functions' database user may do: call the functions that lib calls, and nothing else."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from dev.npm import ROOT
from dev.postgres import APP_USER
from lib import db, errors, inventory
from lib.migrate import SQL, function_files, migrate
from tests.support.database import Database
from tests.support.outage import name_of
from tests.support.servers import Servers

Make = Callable[..., Any]
LISTS = (SQL / "functions_security.sql").read_text()
ENTRY, INNER = (
    set(re.findall(r"'([a-z_]+)'", re.split(rf"v_{name} constant text\[\] := array\[", LISTS)[1].split("];")[0]))
    for name in ("entry", "inner")
)
FUNCTIONS = """
    select p.proname, p.oid::regprocedure::text, p.prosecdef, coalesce(p.proconfig, '{}'),
           has_function_privilege('holdfast_app', p.oid, 'execute')
    from pg_proc p where p.pronamespace = 'public'::regnamespace order by 2
"""
RELATIONS = """
    select c.oid::regclass::text from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v', 'S') and c.relname <> 'test_clock'
"""


@pytest.fixture
def app(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A direct session of the functions' user."""
    url = database.direct_url.replace("postgres@", f"{APP_USER}@")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_the_suites_functions_log_in_as_a_member_of_the_role_who_owns_nothing(database: Database) -> None:
    with db.pool().connection(db.deadline()) as (connection, _):
        query = (
            "select usename, usesuper, pg_has_role('holdfast_app', 'member') from pg_user where usename = current_user"
        )
        ((user, is_super, is_member),) = connection.execute(query).fetchall()
    assert (user, is_super, is_member) == (APP_USER, False, True)
    assert database.value("select count(*) from pg_class where relowner = %s::regrole", [APP_USER]) == 0
    assert database.rows("select rolcanlogin, rolcreatedb, rolcreaterole, rolbypassrls from pg_roles"
                         " where rolname = 'holdfast_app'") == [(False,) * 4]  # fmt: skip


def test_it_reads_and_writes_no_table_view_or_sequence(database: Database, app: psycopg.Connection[Any]) -> None:
    relations = [name for (name,) in database.rows(RELATIONS)]
    assert {"users", "identities", "reservations", "drop_details", "idempotency_keys", "schema_migrations"} <= set(
        relations
    )
    for name in relations:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(f"select * from {name} limit 1")
    rights = "select relation, kind from unnest(%s::text[]) relation, unnest(%s::text[]) kind"
    kinds = ["select", "insert", "update", "delete", "truncate", "references", "trigger"]
    tables = f"{rights} where has_table_privilege('holdfast_app', relation, kind)"
    assert database.rows(tables, [[name for name in relations if not name.endswith("_seq")], kinds]) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update stock_stripes set available = available + 1",
        "insert into users (username) values ('x')",
        "insert into outbox (drop_id, kind) values (1, 'stock')",
        "update test_clock set shift = interval '1 day'",
        "create table public.mine ()",
        "create function public.clock2() returns int language sql as 'select 1'",
        "create or replace function clock() returns timestamptz language sql as 'select now()'",
        "alter function reserve security invoker",
        "drop table purchases",
        "alter table purchases owner to current_user",
        "create role another",
        "create schema mine",
        "set role postgres",
        "grant holdfast_app to postgres",
        "copy users to program 'cat'",
        "select pg_read_file('PG_VERSION')",
        "select nextval('users_id_seq')",
    ],
)
def test_it_can_change_nothing_beside_the_functions(app: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement)


def test_every_function_is_meant_for_it_or_closed_to_it(database: Database) -> None:
    found = database.rows(FUNCTIONS)
    assert {name for name, *_ in found} == ENTRY | INNER
    assert not ENTRY & INNER
    assert {name for name, _, _, _, may in found if may} == ENTRY
    nobody_else = "select has_function_privilege('holdfast_nobody', %s, 'execute')"
    with database.connection.transaction(force_rollback=True):
        database.connection.execute("create role holdfast_nobody")
        assert [signature for _, signature, *_ in found if database.value(nobody_else, [signature])] == []


def test_every_function_that_lib_calls_is_meant_for_it_and_none_else(database: Database) -> None:
    queries = " ".join(
        node.value
        for path in (ROOT / "lib").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "select " in node.value
    )
    names = "select distinct proname from pg_proc where pronamespace = 'public'::regnamespace"
    called = {name for (name,) in database.rows(names) if re.search(rf"\b{name}\(", queries)}
    assert called == ENTRY


def test_what_it_calls_runs_as_the_owner_with_a_search_path_of_its_own(database: Database) -> None:
    for name, signature, is_definer, settings, _ in database.rows(FUNCTIONS):
        # clock() reads no table in production. What only functions call runs with the rights of its caller.
        assert is_definer == (name in ENTRY - {"clock"}), signature
        if is_definer:
            assert "search_path=pg_catalog, public, pg_temp" in settings, signature


@pytest.mark.parametrize(
    "call", ["expire_locked(1, '', '{0}', now(), 9)", "mark_stock(1)", "claim_key('a', 'b', 'c', 1)"]
)
def test_it_cannot_call_what_functions_use_inside(app: psycopg.Connection[Any], call: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for function"):
        app.execute(f"select {call}")


def test_a_temporary_object_or_a_search_path_of_the_caller_changes_no_result(
    database: Database, app: psycopg.Connection[Any], make_drop: Make, make_users: Make
) -> None:
    drop, (user,) = make_drop(1), make_users(1)
    app.execute("create temp table users (id bigint, username text)")
    app.execute("create temp table stock_stripes (drop_id bigint, size text, stripe smallint, available integer)")
    app.execute(f"insert into users values (99, 'nobody'); insert into stock_stripes values ({drop}, '', 0, 1000)")
    app.execute("create function pg_temp.clock() returns timestamptz language sql as 'select timestamptz ''infinity'''")
    app.execute("create function pg_temp.mark_stock(bigint) returns void language sql as 'select 1 / 0'")
    app.execute("set search_path = pg_temp, public")
    outcomes = [
        app.execute("select outcome from public.reserve(%s, %s, null)", [drop, who]).fetchone()
        for who in (99, user, user)
    ]
    assert outcomes == [("user_not_found",), ("ok",), ("replayed",)]
    assert app.execute("select (details).available_stock from public.get_drop(%s)", [drop]).fetchone() == (0,)
    assert app.execute("select count(*) from public.list_users(10, 0)").fetchone() == (1,)
    assert database.stock(drop) == (0, 1, 0)


def test_a_shop_sells_with_nothing_but_this_role(database: Database, make_drop: Make, make_users: Make) -> None:
    """The rows belong to the owner; the calls came from who may read none of them."""
    drop, (user, other) = make_drop(1), make_users(2)
    inventory.purchase(inventory.reserve(drop, user).id, user)
    with pytest.raises(errors.SoldOut):
        inventory.reserve(drop, other)
    assert database.stock(drop) == (0, 0, 1)


def test_a_user_outside_the_role_is_told_what_is_missing(
    client: httpx2.Client, configure: Make, database: Database
) -> None:
    stranger = f"stranger_{os.getpid()}"
    database.connection.execute(f"create role {stranger} login")
    try:
        configure(DATABASE_URL=database.direct_url.replace("postgres@", f"{stranger}@"))
        for answer in (client.get("/api/health"), client.post("/api/reserve/1", json={"userId": 1})):
            assert (answer.status_code, answer.json()["code"]) == (503, "not_configured")
            assert "holdfast_app" in answer.json()["error"]
    finally:
        db.close_pool()
        database.connection.execute(f"drop role {stranger}")


@pytest.fixture
def humble(servers: Servers) -> Iterator[str]:
    """The URL of an empty database whose owner may not make roles; the owner is named like the database."""
    name = f"humble_{os.getpid()}"
    with psycopg.connect(servers.direct_url("postgres"), autocommit=True) as admin:
        admin.execute(f"create role {name} login")
        admin.execute(f"create database {name} owner {name} template template0")
        yield servers.direct_url(name).replace("postgres@", f"{name}@")
        admin.execute(f"drop database {name} with (force)")
        admin.execute(f"drop role if exists {name}_shop, {name}_app, {name}")


def _migrate_in_a_process(url: str) -> str:
    """What `python -m lib.migrate` says."""
    run = subprocess.run(
        [sys.executable, "-m", "lib.migrate"], cwd=ROOT, env={"DATABASE_URL": url}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stderr


def test_who_may_not_make_roles_is_told_so_and_migrates_all_the_same(humble: str) -> None:
    absent = LISTS.replace("holdfast_app", "holdfast_absent")
    migrate(humble)  # here another database has made the role; an owner may grant it what is theirs
    with psycopg.connect(humble, autocommit=True) as connection:
        warnings: list[str] = []
        connection.add_notice_handler(lambda notice: warnings.append(notice.message_primary or ""))
        connection.execute(absent.encode())
        assert len(warnings) == 1 and "create role holdfast_absent" in warnings[0]
        query = "select outcome from create_user('ada', 'k', 'h')"
        assert connection.execute(query).fetchone() == ("ok",)
    assert _migrate_in_a_process(humble) == ""


def test_an_owner_who_is_no_superuser_makes_the_role_and_a_user_of_it(servers: Servers, humble: str) -> None:
    """As on Neon and RDS. The role has another name here, since this server has one made by a superuser."""
    name = name_of(humble)
    with psycopg.connect(servers.direct_url("postgres"), autocommit=True) as admin:
        admin.execute(f"alter role {name} createrole")
    migrate(humble)
    with psycopg.connect(humble, autocommit=True) as owner:
        owner.execute(LISTS.replace("holdfast_app", f"{name}_app").encode())
        owner.execute(f"create role {name}_shop login in role {name}_app".encode())
    with psycopg.connect(humble.replace(f"{name}@", f"{name}_shop@"), autocommit=True) as shop:
        assert shop.execute("select outcome from create_user('ada', 'k', 'h')").fetchone() == ("ok",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            shop.execute("select * from users")


def test_grants_survive_a_deploy(database: Database, make_drop: Make) -> None:
    """`create or replace` gives functions their caller's rights again; the last file mends that before the commit."""
    before = database.rows(FUNCTIONS)
    migrate(database.direct_url)
    assert [row for row in database.rows(FUNCTIONS) if row[0] != "clock"] == [
        row for row in before if row[0] != "clock"
    ]
    assert inventory.get_drop(make_drop(5)).available_stock == 5


def test_the_rights_are_said_last(tmp_path: Path) -> None:
    assert function_files()[-1].name == "functions_security.sql"
