"""What a long sale leaves behind: stripes stay where they are, and indexes grow with what is live, not with what was.

`python -m tests.bench.growth` does the same with a million holds.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.bench.growth import Growth, sell_and_expire
from tests.support.database import Database

pytestmark = pytest.mark.xdist_group("heavy")
Make = Callable[..., Any]
HOLDS_A_ROUND = 3_000
USERS = 300


def _rounds(database: Database, drop: int, users: list[int], rounds: int) -> list[Growth]:
    grown = []
    with database.connect() as connection:
        for _ in range(rounds):
            grown.append(sell_and_expire(connection, drop, users[0], len(users), HOLDS_A_ROUND))
    return grown


def test_indexes_of_live_holds_stay_as_large_as_they_are(database: Database, make_drop: Make, make_users: Make) -> None:
    users = make_users(USERS)
    first, *_, last = _rounds(database, make_drop(USERS), users, 8)

    assert last.holds == 8 * HOLDS_A_ROUND
    # The table itself keeps every reservation; an index that did so too would have grown as it has.
    assert last.history_pages >= 4 * first.history_pages
    # A page that a vacuum empties can be used again one vacuum later: two rounds' worth, and some in hand.
    assert last.live_index_pages <= 2.5 * first.live_index_pages
    database.assert_conserved()


def test_stripes_are_updated_in_place(database: Database, make_drop: Make, make_users: Make) -> None:
    users = make_users(USERS)
    *_, last = _rounds(database, make_drop(USERS), users, 2)

    assert last.stripe_updates >= 2 * 2 * HOLDS_A_ROUND * 0.5
    # Not every one: a page that somebody else has pinned at the moment is not tidied up.
    assert last.stripe_updates_in_place >= 0.9 * last.stripe_updates
