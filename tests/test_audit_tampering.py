"""Rows changed by hand, past every rule and constraint: the audit finds each, and names the row."""

from dataclasses import dataclass

import pytest

from lib import audits, inventory
from tests.support.outbox import Outbox

TOLD_OTHERWISE = ("viewers_not_told", "drop_feeds", "{drop}")
# What somebody with the superuser's rights may do; {…} are ids of the shop below, and expected rows may name them.
TAMPERED = {
    "a unit from nowhere": (
        "update stock_stripes set available = available + 1 where drop_id = {drop} and size = 'M' and stripe = 0",
        {("units_not_conserved", "drop_sizes", "{drop}/M"), TOLD_OTHERWISE},
    ),
    "a unit gone": (
        "update stock_stripes set available = available - 1 where drop_id = {drop} and size = 'M' and stripe = 0",
        {("units_not_conserved", "drop_sizes", "{drop}/M"), TOLD_OTHERWISE},
    ),
    "a total without units": (
        "update drop_sizes set total_stock = total_stock + 5 where drop_id = {drop} and size = 'M'",
        {("units_not_conserved", "drop_sizes", "{drop}/M"), ("sizes_do_not_add_up", "drops", "{drop}")},
    ),
    "another total of the drop": (
        "update drops set total_stock = 99 where id = {drop}",
        {("sizes_do_not_add_up", "drops", "{drop}")},
    ),
    "stock below zero": (
        "alter table stock_stripes drop constraint stock_not_negative;"
        "update stock_stripes set available = available - 100 where drop_id = {drop} and size = 'M' and stripe = 1;"
        "update stock_stripes set available = available + 100 where drop_id = {drop} and size = 'M' and stripe = 0",
        {("stock_below_zero", "stock_stripes", "{drop}/M/1")},
    ),
    "a stripe removed": (
        "delete from stock_stripes where drop_id = {drop} and size = 'L'",
        {
            ("stripes_do_not_add_up", "drop_sizes", "{drop}/L"),
            ("units_not_conserved", "drop_sizes", "{drop}/L"),
            ("hold_out_of_place", "reservations", "{released}"),
            TOLD_OTHERWISE,
        },
    ),
    "a size removed": (
        "delete from drop_sizes where drop_id = {drop} and size = 'L'",
        {
            ("sizes_do_not_add_up", "drops", "{drop}"),
            ("stripe_without_size", "stock_stripes", "{drop}/L/0"),
            TOLD_OTHERWISE,
        },
    ),
    "a hold's stripe gone": (
        "update reservations set stripe = 60 where id = {hold}",
        {("hold_without_stripe", "reservations", "{hold}")},
    ),
    "a hold's user gone": (
        "delete from users where id = {holder}",
        {("hold_without_user", "reservations", "{hold}")},
    ),
    "a hold removed": (
        "delete from reservations where id = {hold}",
        {("units_not_conserved", "drop_sizes", "{drop}/M")},
    ),
    "a hold copied": (
        "drop index one_live_hold_per_user;"
        "insert into reservations (user_id, drop_id, size, stripe, expires_at, created_at)"
        " select user_id, drop_id, size, stripe, expires_at, created_at from reservations where id = {hold}",
        {
            ("held_twice", "reservations", "{copy of hold}"),
            ("units_not_conserved", "drop_sizes", "{drop}/M"),
            ("limit_exceeded", "users", "{holder}"),
        },
    ),
    "a hold that was never swept": (
        "update reservations set created_at = now() - interval '2 hours', expires_at = now() - interval '1 hour'"
        " where id = {hold}",
        {("hold_overdue", "reservations", "{hold}")},
    ),
    "a purchase removed": (
        "delete from purchases where id = {purchase}",
        {
            ("units_not_conserved", "drop_sizes", "{drop}/M"),
            ("hold_without_purchase", "reservations", "{bought}"),
        },
    ),
    "a purchase removed and its unit put back": (
        "delete from purchases where id = {purchase};"
        "update stock_stripes set available = available + 1 where drop_id = {drop} and size = 'M' and stripe = 0;"
        "update drop_feeds set stock_sent = stock_sent + 1 where drop_id = {drop}",
        {("hold_without_purchase", "reservations", "{bought}")},
    ),
    "a purchase copied": (
        "alter table purchases drop constraint one_purchase_per_reservation;"
        "insert into purchases (reservation_id, user_id, drop_id, size, price, currency, created_at, drop_snapshot)"
        " select reservation_id, user_id, drop_id, size, price, currency, created_at, drop_snapshot from purchases"
        " where id = {purchase}",
        {
            ("bought_twice", "purchases", "{copy of purchase}"),
            ("units_not_conserved", "drop_sizes", "{drop}/M"),
            ("limit_exceeded", "users", "{buyer}"),
        },
    ),
    "a purchase of another size": (
        "update purchases set size = 'L' where id = {purchase}",
        {
            ("purchase_without_hold", "purchases", "{purchase}"),
            ("units_not_conserved", "drop_sizes", "{drop}/L"),
            ("units_not_conserved", "drop_sizes", "{drop}/M"),
        },
    ),
    "a purchase of a size that is not there": (
        "update purchases set size = 'XXL' where id = {purchase}",
        {
            ("purchase_without_hold", "purchases", "{purchase}"),
            ("purchase_of_no_size", "purchases", "{purchase}"),
            ("units_not_conserved", "drop_sizes", "{drop}/M"),
        },
    ),
    "a purchase given to somebody else": (
        "update purchases set user_id = {holder} where id = {purchase}",
        {("purchase_without_hold", "purchases", "{purchase}"), ("limit_exceeded", "users", "{holder}")},
    ),
    "a purchase's hold gone": (
        "delete from reservations where id = {bought}",
        {("purchase_without_hold", "purchases", "{purchase}")},
    ),
    "a purchase's hold taken back": (
        "update reservations set status = 'EXPIRED' where id = {bought}",
        {
            ("purchase_without_hold", "purchases", "{purchase}"),
            ("ended_holds_miscounted", "stock_stripes", "{drop}/M/{stripe}"),
        },
    ),
    "a purchase past the deadline": (
        "update purchases set created_at = created_at + interval '1 hour' where id = {purchase}",
        {("purchase_without_hold", "purchases", "{purchase}")},
    ),
    "a purchase's user gone": (
        "delete from users where id = {buyer}",
        {("purchase_without_user", "purchases", "{purchase}")},
    ),
    "a released hold out of place": (
        "update reservations set size = 'XS' where id = {released}",
        {
            ("hold_out_of_place", "reservations", "{released}"),
            ("ended_holds_miscounted", "stock_stripes", "{drop}/L/0"),
        },
    ),
    "a count of expired holds": (
        "update stock_stripes set expired = expired + 7 where drop_id = {drop} and size = 'L' and stripe = 0",
        {("ended_holds_miscounted", "stock_stripes", "{drop}/L/0")},
    ),
    "a feed that tells another stock": (
        "update drop_feeds set stock_sent = stock_sent + 3 where drop_id = {drop}",
        {TOLD_OTHERWISE},
    ),
    "no feed": (
        "delete from drop_feeds where drop_id = {drop}",
        {("feed_missing", "drop_feeds", "{drop}")},
    ),
    "an event that nobody delivers": (
        "insert into outbox (id, drop_id, kind, created_at) overriding system value"
        " values (9999, {drop}, 'changed', now() - interval '5 minutes')",
        {("event_waiting", "outbox", "9999")},
    ),
    "the drop gone": (
        "delete from drops where id = {drop}",
        {("drop_missing", "drops", "{drop}")},
    ),
}


@dataclass(frozen=True)
class Shop:
    """A drop of two sizes with a live hold, a released one and a purchase, all of it told to viewers."""

    drop: int
    holder: int
    buyer: int
    hold: int
    bought: int
    stripe: int
    purchase: int
    released: int


@pytest.fixture
def shop(database, make_drop, make_users) -> Shop:
    # Bystanders on both sides, whose rows must not be taken for this drop's.
    other, users = make_drop(stock=5), make_users(3)
    drop = make_drop(sizes=[("M", 9), ("L", 4)], max_per_user=1)
    buyer, holder, quitter = users
    bought = inventory.reserve(drop, buyer, "M")
    purchase = inventory.purchase(bought.id, buyer)
    released = inventory.release(inventory.reserve(drop, quitter, "L").id, quitter)
    inventory.purchase(inventory.reserve(other, buyer).id, buyer)
    hold = inventory.reserve(drop, holder, "M")
    make_drop(stock=5)
    Outbox(database).drain()
    return Shop(drop, holder, buyer, hold.id, bought.id, bought.stripe, purchase.id, released.id)


def _filled_in(text: str, shop: Shop) -> str:
    # The last hold and the last purchase of the fixture have these ids.
    copies = {"copy of hold": shop.hold + 1, "copy of purchase": shop.purchase + 2}
    for name, value in (vars(shop) | copies).items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


@pytest.mark.parametrize("what", TAMPERED)
def test_the_audit_names_the_row_that_was_changed_by_hand(database, shop, what):
    assert audits.audit_rows(shop.drop, 30) == []
    statements, expected = TAMPERED[what]
    # As a restored dump does: no trigger and no foreign key looks at it.
    database.connection.execute("set session_replication_role = replica")
    database.connection.execute(_filled_in(statements, shop))
    found = audits.audit_rows(shop.drop, 30)
    assert {(finding["rule"], finding["table"], finding["id"]) for finding in found} == {
        (rule, table, _filled_in(row, shop)) for rule, table, row in expected
    }
    assert all(finding["detail"] for finding in found)


def test_damage_to_one_drop_is_no_finding_of_another(database, shop):
    database.connection.execute("update stock_stripes set available = available + 1 where drop_id = %s", [shop.drop])
    others = [drop for drop in audits.audit_ids(30) if drop != shop.drop]
    assert len(others) == 2
    assert [audits.audit_rows(drop, 30) for drop in others] == [[], []]


def test_every_rule_of_the_audit_has_a_row_that_breaks_it(database):
    definition = database.value("select pg_get_functiondef('audit'::regproc)")
    rules = {line.split("'")[1] for line in definition.splitlines() if line.strip().startswith("select '")}
    assert rules == {rule for _, expected in TAMPERED.values() for rule, _, _ in expected}
