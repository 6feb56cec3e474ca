"""A short run of `make chaos`, and that its verdict notices what it is there to notice."""

from collections import Counter
from collections.abc import Callable

import pytest

from lib import inventory
from tests.chaos import verdict
from tests.chaos.run import run_chaos
from tests.chaos.storm import Ledger
from tests.support.database import Database

# Every kind of fault has its turn, once; this is only for a machine that hangs.
SECONDS_MOST = 180
SEED = 20
KINDS = 10


@pytest.mark.slow
@pytest.mark.xdist_group("heavy")
def test_nothing_is_lost_or_doubled_while_every_part_fails_in_turn() -> None:
    report = run_chaos(SECONDS_MOST, SEED, buyers=16, instances=2, rounds=1, quiet=True)
    assert report.broken() == []
    assert len({fault.kind for fault in report.faults}) == KINDS
    assert report.ledger.holds and report.ledger.purchases and report.ledger.released and report.ledger.refused


@pytest.fixture
def bought(make_drop: Callable[..., int], make_users: Callable[[int], list[int]], database: Database) -> Ledger:
    """Two holds, one of them purchased, and the ledger of who was told so."""
    drop, (first, second) = make_drop(5), make_users(2)
    one, two = inventory.reserve(drop, first), inventory.reserve(drop, second)
    told = inventory.purchase(one.id, first)
    return Ledger(
        holds={one.id: (first, drop, ""), two.id: (second, drop, "")},
        purchases={one.id: {told.id}},
    )


def broken(database: Database, ledger: Ledger, totals: Counter[tuple[int, str]] | None = None) -> list[str]:
    drop = next(iter(ledger.holds.values()))[1]
    checks = [
        *verdict._holds(database.connection, ledger),
        *verdict._purchases(database.connection, ledger),
        *verdict._stock(database, ledger, totals or Counter({(drop, ""): 5})),
    ]
    return [check.rule for check in checks if check.breaches]


def test_the_verdict_passes_what_is_right(database: Database, bought: Ledger) -> None:
    assert broken(database, bought) == []


def test_the_verdict_notices_what_was_acknowledged_and_is_not_there(database: Database, bought: Ledger) -> None:
    (purchased,) = bought.purchases
    held = next(hold for hold in bought.holds if hold != purchased)
    bought.holds[10**9] = (1, 1, "")
    bought.released.add(held)
    bought.purchases[held] = {10**9}
    assert broken(database, bought) == [
        "every acknowledged hold is there",
        "every acknowledged release is there",
        "every acknowledged purchase is there",
        "no purchase doubled, each repetition told the same one",
    ]


def bought_after_all(ledger: Ledger) -> None:
    ledger.too_late.update(ledger.purchases)


def told_two_numbers(ledger: Ledger) -> None:
    next(iter(ledger.purchases.values())).add(10**9)


def restocked(ledger: Ledger) -> None:
    ledger.restocked[next(iter(ledger.holds.values()))[1], ""] = 12


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (bought_after_all, "no purchase after it was refused"),
        (told_two_numbers, "no purchase doubled, each repetition told the same one"),
        (restocked, "every acknowledged restock is there, once"),
    ],
)
def test_the_verdict_notices_replies_that_contradict_the_rows(
    change: Callable[[Ledger], None], rule: str, database: Database, bought: Ledger
) -> None:
    change(bought)
    assert broken(database, bought) == [rule]


def test_the_verdict_notices_a_unit_that_is_in_no_place(database: Database, bought: Ledger) -> None:
    database.connection.execute("update stock_stripes set available = available + 1")
    assert broken(database, bought) == ["units conserved in each size"]
