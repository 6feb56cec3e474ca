"""What a sale publishes, against one message for each change; the README's table has these figures."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.settings import Settings
from tests.support.budget import GIVEN_BACK, SECONDS, UNITS, Bill, Sale, rushed, steady
from tests.support.database import Database

README = Path(__file__).resolve().parent.parent / "README.md"
# Where `make messages` wants to have the figures.
LOG = os.environ.get("HOLDFAST_MESSAGES_LOG")
GAP_MS = Settings.model_fields["stock_update_gap_ms"].default
ARRIVALS = {"steady": steady, "rushed": rushed}


@pytest.fixture
def sell(
    database: Database, make_drop: Callable[..., int], make_users: Callable[[int], list[int]]
) -> Callable[[str, int], Bill]:
    """sell("steady", 250): the bill of a sale with this way to arrive and this STOCK_UPDATE_GAP_MS."""

    def run(arrival: str, gap_ms: int) -> Bill:
        drop, users = make_drop(stock=UNITS, hold_seconds=600), make_users(UNITS + GIVEN_BACK)
        bill = Sale(database, drop, users, gap_ms).run(ARRIVALS[arrival])
        assert database.stock(drop) == (0, 0, UNITS)
        assert database.value("select count(*) from outbox") == 0
        return bill

    return run


@pytest.mark.parametrize("gap_ms", [GAP_MS, 1000])
@pytest.mark.parametrize("arrival", ARRIVALS)
def test_a_sold_out_drop_published_every_purchase_and_few_stocks(
    sell: Callable[[str, int], Bill], arrival: str, gap_ms: int
) -> None:
    bill = sell(arrival, gap_ms)
    if LOG:
        with Path(LOG).open("a") as log:
            line = {"arrival": arrival, "gapMs": gap_ms, "naive": bill.naive, **bill.published}
            log.write(json.dumps(line) + "\n")
    assert bill.naive == UNITS + 2 * GIVEN_BACK + UNITS
    assert bill.published["newPurchase"] == UNITS
    # One each gap at most, and one more for each flip between sold out and on sale, once a second at most.
    assert 1 <= bill.published["stockUpdate"] <= SECONDS * 1000 / gap_ms + SECONDS
    assert bill.published["stockUpdate"] < bill.stock_changes / 2
    assert set(bill.published) == {"newPurchase", "stockUpdate"}
    assert table_row(arrival, gap_ms) == bill.published["stockUpdate"]


def table_row(arrival: str, gap_ms: int) -> int:
    """The stockUpdates that the README tells for this sale."""
    rows = re.findall(rf"^\| {arrival}, `STOCK_UPDATE_GAP_MS={gap_ms}` \| (\d+) \|", README.read_text(), re.MULTILINE)
    assert len(rows) == 1
    return int(rows[0])
