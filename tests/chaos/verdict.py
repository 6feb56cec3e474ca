"""What is held against the database when everything is mended: what was acknowledged, and what viewers were told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.chaos.storm import Drop, Ledger
from tests.chaos.world import World
from tests.support.database import Database
from tests.support.subscriber import Subscriber

EVENTS_SECONDS = 10.0
EXAMPLE_LENGTH = 160


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: how many breaches, and the first few of them."""

    rule: str
    breaches: int
    examples: str = ""


def check(rule: str, breaches: list[Any]) -> Check:
    return Check(rule, len(breaches), "; ".join(str(breach)[-EXAMPLE_LENGTH:] for breach in breaches[:3]))


def judge(world: World, ledger: Ledger, drops: list[Drop], totals: Counter[tuple[int, str]]) -> list[Check]:
    """Every rule but those of events. `totals`: units that each drop's size was made with."""
    with world.connect() as connection:
        database = Database("", world.postgres.url("chaos"), connection)
        return [
            *_holds(connection, ledger),
            *_purchases(connection, ledger),
            *_stock(database, ledger, totals),
            check("no reply of a fault's own making (5xx other than 503)", ledger.broken),
            check("no request hung", ledger.hung),
            check("no deadlock", [line for line in world.server_log().splitlines() if "deadlock detected" in line]),
            check("no unforeseen failure in a function", [line for line in world.log_lines if "http.failed" in line]),
        ]


def _holds(connection: psycopg.Connection[Any], ledger: Ledger) -> list[Check]:
    query = "select id, user_id, drop_id, size, status from reservations"
    rows = {row[0]: (row[1:4], row[4]) for row in connection.execute(query)}
    lost = [hold for hold, told in ledger.holds.items() if rows.get(hold, ((), ""))[0] != told]
    not_released = [hold for hold in ledger.released if rows[hold][1] != "RELEASED"]
    twice = connection.execute(
        "select drop_id, user_id from reservations where status = 'ACTIVE' group by 1, 2 having count(*) > 1"
    ).fetchall()
    return [
        check("every acknowledged hold is there", lost),
        check("every acknowledged release is there", not_released),
        check("no two live holds of a buyer in a drop", twice),
    ]


def _purchases(connection: psycopg.Connection[Any], ledger: Ledger) -> list[Check]:
    rows = dict(connection.execute("select reservation_id, id from purchases").fetchall())
    lost = [hold for hold in ledger.purchases if hold not in rows]
    doubled = [(hold, told) for hold, told in ledger.purchases.items() if told != {rows.get(hold)}]
    counted = connection.execute("select count(*) from purchases").fetchone()
    rows_twice = [counted] if counted is not None and counted[0] != len(rows) else []
    return [
        check("every acknowledged purchase is there", lost),
        check("no purchase doubled, each repetition told the same one", doubled + rows_twice),
        check("no purchase after it was refused", [hold for hold in ledger.too_late if hold in rows]),
    ]


def _stock(database: Database, ledger: Ledger, totals: Counter[tuple[int, str]]) -> list[Check]:
    breaches = []
    try:
        database.assert_conserved()
    except AssertionError as error:
        breaches.append(error)
    wanted = totals + ledger.restocked
    found = {(row[0], row[1]): row[2] for row in database.rows("select drop_id, size, total_stock from drop_sizes")}
    restocks = [(key, found[key], units) for key, units in wanted.items() if found[key] != units]
    return [
        check("units conserved in each size", breaches),
        check("every acknowledged restock is there, once", restocks),
    ]


def judge_events(world: World, viewer: Subscriber, drops: list[Drop]) -> list[Check]:
    """Rules for EVENTS_SECONDS after the channel is back: every event has arrived, and the last stock is true."""
    with world.connect() as connection:
        bought = {row[0] for row in connection.execute("select id from purchases")}
        waiting = connection.execute("select id, kind, drop_id from outbox").fetchall()
        stock = dict(
            connection.execute("select drop_id, sum(available)::integer from stock_stripes group by 1").fetchall()
        )
    told = {event["purchaseId"] for event in viewer.named("newPurchase")}
    newest: dict[int, dict[str, Any]] = {}
    for update in viewer.named("stockUpdate"):
        if update["version"] > newest.get(update["dropId"], {"version": 0})["version"]:
            newest[update["dropId"]] = update
    wrong = [
        (drop.id, newest.get(drop.id), stock[drop.id])
        for drop in drops
        if newest.get(drop.id, {}).get("availableStock") != stock[drop.id]
    ]
    return [
        check("every purchase was told", sorted(bought - told)),
        check("nothing told that is not there", sorted(told - bought)),
        check("nothing waits any more", waiting),
        check("viewers end with the true stock", wrong),
    ]
