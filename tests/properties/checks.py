"""What has to hold after each step, whatever was done: the rows against the model, the viewers against the rows."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from lib import audits, events, inventory
from lib.errors import HoldfastError
from lib.fields import MAX_ID
from tests.properties.model import Model, Wrong, same
from tests.properties.wire import Viewer
from tests.properties.world import World

Row = tuple[Any, ...]


QUERIES = (
    """
    select z.drop_id, z.size, z.total_stock, sum(s.available), min(s.available), sum(s.changes)
    from drop_sizes z join stock_stripes s using (drop_id, size) group by 1, 2, 3
    """,
    """
    select d.id, d.total_stock, d.state, d.price::float, f.version
    from drops d join drop_feeds f on f.drop_id = d.id
    """,
    "select id, drop_id, user_id, size, expires_at, status from reservations",
    "select reservation_id, id, drop_id, user_id, size, price::float from purchases order by id",
    "select drop_id, kind, (payload ->> 'purchaseId')::bigint from outbox",
)


class Rows:
    """The tables as they are, read while nothing else runs."""

    def __init__(self, world: World) -> None:
        connection = world.database.connection
        with connection.pipeline():
            sizes, drops, holds, purchases, waiting = [connection.execute(query) for query in QUERIES]
        self.sizes: dict[tuple[int, str], Row] = {(drop, size): tuple(row) for drop, size, *row in sizes}
        self.drops: dict[int, Row] = {drop: tuple(row) for drop, *row in drops}
        self.holds: dict[int, Row] = {hold: tuple(row) for hold, *row in holds}
        self.purchases: list[Row] = list(purchases)
        self.marks: set[tuple[int, str]] = set()
        self.purchase_events: set[int] = set()
        for drop, kind, purchase in waiting:
            self.marks.add((drop, kind))
            self.purchase_events |= {purchase} - {None}

    def overdue(self, model: Model) -> int:
        return sum(row[4] == "ACTIVE" and row[3] <= model.now for row in self.holds.values())


def promises(world: World, model: Model, rows: Rows) -> None:
    """Promises 1 to 5 of DESIGN section 1, as far as rows show them."""
    _units(model, rows)
    _holds(model, rows)
    _purchases(model, rows)
    _limits(model, rows)
    _reads(rows)


def _units(model: Model, rows: Rows) -> None:
    same([key for key, row in rows.sizes.items() if row[2] < 0], [], "sizes with a stripe below zero")
    expected = {(drop.id, size): total for drop in model.drops.values() for size, total in drop.sizes.items()}
    same({key: row[0] for key, row in rows.sizes.items()}, expected, "units by size")
    active = Counter((row[0], row[2]) for row in rows.holds.values() if row[4] == "ACTIVE")
    sold = Counter((row[2], row[4]) for row in rows.purchases)
    for key, (total, available, *_) in rows.sizes.items():
        same(available + active[key] + sold[key], total, f"available + active + purchased of {key}")
    totals = {drop.id: sum(drop.sizes.values()) for drop in model.drops.values()}
    same({drop: row[0] for drop, row in rows.drops.items()}, totals, "units by drop")


def _holds(model: Model, rows: Rows) -> None:
    same(set(rows.holds), set(model.holds), "ids of all holds")
    for hold in model.holds.values():
        drop, user, size, expires_at, status = rows.holds[hold.id]
        same((drop, user, size, expires_at), (hold.drop, hold.user, hold.size, hold.expires_at), f"hold {hold.id}")
        # An overdue one may be swept or not. A live one is never swept.
        allowed = {hold.status} if hold.status != "ACTIVE" or model.is_live(hold) else {"ACTIVE", "EXPIRED"}
        same(status in allowed, True, f"hold {hold.id} is {status}, of {allowed}")


def _purchases(model: Model, rows: Rows) -> None:
    bought = {}
    for hold in model.holds.values():
        if hold.bought is not None:
            first = hold.bought["purchase"]
            bought[hold.id] = (first["id"], hold.drop, hold.user, hold.size, first["price"])
    same(sorted((row[0], row[1:]) for row in rows.purchases), sorted(bought.items()), "purchases")


def _limits(model: Model, rows: Rows) -> None:
    units = Counter((row[2], row[3]) for row in rows.purchases)
    units.update((row[0], row[1]) for row in rows.holds.values() if row[4] == "ACTIVE" and row[3] > model.now)
    live = Counter((row[0], row[1]) for row in rows.holds.values() if row[4] == "ACTIVE")
    same({pair: count for pair, count in live.items() if count > 1}, {}, "buyers with two live holds of a drop")
    for (drop, user), count in units.items():
        limit = model.drops[drop].highest_limit
        same(limit is None or count <= limit, True, f"user {user} has {count} of drop {drop}, limit {limit}")


def _reads(rows: Rows) -> None:
    """What a reader of the drops is told is what the rows say."""
    read = {found.id: found for found in inventory.list_drops("all", 100, MAX_ID)}
    same(set(read), set(rows.drops), "drops as read")
    for drop, found in read.items():
        available = {size: row[1] for (owner, size), row in rows.sizes.items() if owner == drop}
        same({size["size"]: size["availableStock"] for size in found.sizes}, available, "stock as read")
        same(found.available_stock, sum(available.values()), "stock as read")
        same(found.sold_count, sum(row[2] == drop for row in rows.purchases), "sold as read")
        deadlines = [row[3] for row in rows.holds.values() if row[0] == drop and row[4] == "ACTIVE"]
        same(found.next_expiry_at, min(deadlines, default=None), "next deadline as read")
        newest = [row[3] for row in rows.purchases if row[2] == drop][:-4:-1]
        same([purchase["userId"] for purchase in found.recent_purchases], newest, "recent buyers as read")


# Of real time, which stands still here beside the machine's own.
NOT_DAMAGE = {"hold_overdue", "event_waiting"}


def audit(rows: Rows) -> None:
    """The shop's own audit agrees."""
    for drop in rows.drops:
        found = [finding for finding in audits.audit_rows(drop, 60) if finding["rule"] not in NOT_DAMAGE]
        same(found, [], f"findings of the audit of drop {drop}")


class Versions:
    """Of each drop, as last seen: they never go down, and no stock changes without its count of changes going up."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}
        self._stock: dict[tuple[int, str], tuple[int, int]] = {}

    def rise(self, rows: Rows) -> None:
        for drop, (_, _, _, version) in rows.drops.items():
            same(version >= self._last.get(drop, 0), True, f"version {version} of drop {drop}")
            self._last[drop] = version
        for key, (_, available, _, changes) in rows.sizes.items():
            before, count = self._stock.get(key, (available, changes))
            same(changes > count or (changes, available) == (count, before), True, f"count of changes of {key}")
            self._stock[key] = (available, changes)


def views(world: World, rows: Rows) -> None:
    """Promises 6 and 7: each change is in the view, or its event still waits in the outbox. None is lost."""
    wire = world.wire
    wire.steady.catch_up()
    _view(wire.steady, rows, "the steady viewer")
    lost = {row[1] for row in rows.purchases} - wire.steady.purchases - rows.purchase_events
    same(lost, set(), "purchases that nobody will hear of")
    if wire.flaky.connected and not wire.flaky.unread:
        wire.flaky.catch_up()
        _view(wire.flaky, rows, "the flaky viewer")


def _view(viewer: Viewer, rows: Rows, who: str) -> None:
    for drop, (_, state, price, _) in rows.drops.items():
        if (drop, "changed") not in rows.marks:
            same(viewer.states.get(drop), (state, price), f"state of drop {drop} for {who}")
        if (drop, "stock") in rows.marks or drop not in viewer.stock:
            continue
        _, available, sizes = viewer.stock[drop]
        stock = {size: row[1] for (owner, size), row in rows.sizes.items() if owner == drop}
        same(available, sum(stock.values()), f"stock of drop {drop} for {who}")
        if sizes is not None:
            same({size["size"]: size["availableStock"] for size in sizes}, stock, f"sizes of drop {drop} for {who}")


def settle(world: World, move_clock: Callable[[float], None]) -> None:
    """With the channel back, everything waiting arrives: nothing needs more than a few leases' time."""
    world.wire.state = "up"
    for _ in range(20):
        if not world.database.value("select count(*) from outbox"):
            break
        move_clock(6)
        events.deliver(0)
    same(world.database.rows("select drop_id, kind from outbox"), [], "events that nobody delivers")


def reservation(model: Model, hold: int, user: int) -> None:
    """What its owner is told of a hold is what the model says; nobody else is told anything."""
    known = model.holds.get(hold)
    try:
        found = inventory.get_reservation(hold, user)
    except HoldfastError as error:
        expected = "reservation_not_found" if known is None else "not_owner"
        same((error.code, known is None or known.user != user), (expected, True), "a look at a hold")
        return
    if known is None or known.user != user:
        raise Wrong(f"user {user} sees hold {hold}")
    live = model.is_live(known)
    status = "EXPIRED" if known.status == "ACTIVE" and not live else known.status
    seconds = (known.expires_at - model.now).total_seconds() if live else 0
    same((found.status, found.seconds_left), (status, seconds), f"hold {hold} as its owner sees it")
