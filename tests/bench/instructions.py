"""`python -m tests.bench.instructions`: what each hot statement costs in Postgres, in instructions.

Times on a shared machine differ by half; valgrind counts the same each time. A backend in single-user mode runs a
statement some times and then some more times; the difference, for each, is printed in thousands beside a plain insert.
There are no other sessions in that mode: what waits and conflicts cost is the benchmark's to tell. Needs valgrind
(apt-get install valgrind).
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg

from dev.npm import ROOT
from dev.ports import random_free
from dev.postgres import Postgres, binary
from dev.processes import StackError, let_through, primary_group, unprivileged_user
from lib.migrate import migrate
from tests.bench import classic

DATABASE = "instructions"
# The first calls read catalogs and compile; they are in both runs.
FEW, MANY = 50, 250
USERS = 4 * MANY
MAKE_DROP = "select drop_id from create_drop('Counted', 1, 'EUR', null, null, null, 3600, null, %s, %s, '')"
HOLD = "select (hold).id from reserve(%s, %s, null)"


def main() -> int:
    if shutil.which("valgrind") is None:
        print("This needs valgrind; install it with: apt-get install valgrind", file=sys.stderr)
        return 1
    (ROOT / ".local").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="instructions-", dir=ROOT / ".local") as folder:
        postgres = Postgres(Path(folder) / "postgres", random_free())
        with postgres:
            statements = _prepare(postgres)
        let_through(Path(folder))
        floor = 0.0
        for name, statement in statements.items():
            each = (_count(postgres, statement, MANY) - _count(postgres, statement, FEW)) / (MANY - FEW)
            floor = floor or each
            print(f"{name:<24} {each / 1000:8,.0f} thousand {each / floor:6.2f} x a plain insert", flush=True)
    return 0


def _prepare(postgres: Postgres) -> dict[str, Callable[[int], str]]:
    """The n-th call of each statement, on a database that has what they need."""
    postgres.create_database(DATABASE)
    url = postgres.url(DATABASE)
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:

        def value(query: str, *params: object) -> int:
            row = connection.execute(query, params).fetchone()
            assert row is not None
            return int(row[0])

        def make_drop(units: int) -> int:
            return value(MAKE_DROP, f'[{{"size": "", "stock": {units}}}]', f"{units}-{len(drops)}")

        connection.execute(classic.TABLES)
        connection.execute("insert into users (username) select 'buyer-' || n from generate_series(1, %s) n", [USERS])
        drops: list[int] = []
        for units in (1_000_000, 0, 1_000_000, 1_000_000):
            drops.append(make_drop(units))
        on_sale, sold_out, bought, released = drops
        to_buy = [value(HOLD, bought, user) for user in range(1, 2 * MANY)]
        to_release = [value(HOLD, released, user) for user in range(1, 2 * MANY)]
        connection.execute("delete from outbox")
        connection.execute("vacuum analyze")
    return {
        "plain insert": lambda n: f"insert into floor (user_id, drop_id, status, expires_at) values "
                                  f"({n}, {on_sale}, 'ACTIVE', now() + interval '1 day') returning id",
        "reserve": lambda n: f"select to_json(reserve({on_sale}, {n}, null, 60, 60))",
        "reserve, no rate limit": lambda n: f"select to_json(reserve({on_sale}, {n + 2 * MANY}, null, null, null))",
        "reserve, sold out": lambda n: f"select to_json(reserve({sold_out}, {n}, null, 60, 60))",
        "reserve, replayed": lambda n: f"select to_json(reserve({released}, {2 * MANY - 1}, null, 60, 60))",
        "purchase": lambda n: f"select to_json(purchase({to_buy[n - 1]}, {n}))",
        "release": lambda n: f"select to_json(release({to_release[n - 1]}, {n}))",
        "get_drop": lambda n: f"select to_json(d) from get_drop({on_sale}) d",
    }  # fmt: skip


def _count(postgres: Postgres, statement: Callable[[int], str], calls: int) -> int:
    """Instructions of a single-user backend that makes so many calls; no two runs make the same call."""
    first = 1 if calls == FEW else 1 + FEW
    script = "".join(statement(first + n) + "\n" for n in range(calls))
    user = unprivileged_user()
    command = [
        "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(binary("postgres")), "--single",
        "-D", str(postgres.data_dir), "-c", "autovacuum=off", DATABASE,
    ]  # fmt: skip
    result = subprocess.run(
        command, input=script, capture_output=True, text=True, cwd="/", user=user, group=primary_group(user),
        extra_groups=None if user is None else [],
    )  # fmt: skip
    found = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or found is None or "ERROR:" in result.stderr:
        raise StackError(f"The count failed:\n{result.stderr[-2000:]}")
    return int(found[1])


if __name__ == "__main__":
    sys.exit(main())
