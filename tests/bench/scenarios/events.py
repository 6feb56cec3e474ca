"""Scenario 6: how long after its commit a viewer hears of a sale, in quiet and in a storm; real pusher-js clients."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Sequence

from tests.bench import load
from tests.bench.measure import Progress, Report, percentile
from tests.bench.profile import NOT_SAMPLED, sampled
from tests.bench.size import Size
from tests.bench.stack import Server, Stack
from tests.support.subscriber import Subscriber

NAME = "events"
TITLE = "Events to a viewer"
# Longer than the gap between two stock updates of a drop, so that each is sent at once.
REST_SECONDS = 0.4
GIVE_UP_SECONDS = 30.0


def run(stack: Stack, size: Size, progress: Progress) -> Report:
    report = Report(NAME, TITLE)
    with stack.server() as server:
        progress("at rest")
        stock, purchases = _at_rest(stack, server, size.rest_events, progress)
        _tell(report, "at rest", stock, purchases)
        progress("in a storm")
        _storm(stack, server, size, progress, report)
    report.notes.append(
        "from the database's time of the hold or purchase, just before its commit, to the client's event"
    )
    report.notes.append("stock updates are folded to one in 250 ms: in a storm a change waits for its turn")
    return report


def _tell(report: Report, when: str, stock: Sequence[float], purchases: Sequence[float]) -> None:
    for name, seconds in (("stockUpdate", stock), ("newPurchase", purchases)):
        for share, word in ((0.5, "p50"), (0.99, "p99")):
            report.figure(f"{name}, {when}, {word}", "ms", [percentile(seconds, share) * 1000])
        report.data[f"{name}, {when}"] = sorted(round(value * 1000, 1) for value in seconds)


def _post(server: Server, path: str, user_id: int) -> dict[str, dict[str, int]]:
    body = json.dumps({"userId": user_id}).encode()
    request = urllib.request.Request(server.url + path, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=GIVE_UP_SECONDS) as answer:
        found: dict[str, dict[str, int]] = json.loads(answer.read())
        return found


def _at_rest(stack: Stack, server: Server, count: int, progress: Progress) -> tuple[list[float], list[float]]:
    """Seconds to the viewer, of single holds and purchases with pauses between them."""
    drop_id = stack.make_drop(count + 1)
    with Subscriber(stack.soketi.env(), *_channels(drop_id)) as viewer:
        _post(server, f"/api/reserve/{drop_id}", stack.users)  # the first publish connects
        for user_id in range(1, count + 1):
            time.sleep(REST_SECONDS)
            progress(f"at rest: sale {user_id} of {count}")
            hold = _post(server, f"/api/reserve/{drop_id}", user_id)["reservation"]
            time.sleep(REST_SECONDS)
            _post(server, f"/api/purchase/{hold['id']}", user_id)
        _wait(viewer, "newPurchase", count)
        stock = _stock_delays(stack, viewer, drop_id, count + 1)[1:]
        return stock, _purchase_delays(stack, viewer, drop_id)


def _storm(stack: Stack, server: Server, size: Size, progress: Progress, report: Report) -> None:
    units = size.drain_units
    drop_id = stack.make_drop(units)
    with Subscriber(stack.soketi.env(), *_channels(drop_id)) as viewer:
        with sampled(server, stack.folder / "profile-events.txt") as parts:
            progress(f"in a storm: {units:,} buyers reserve")
            began = time.time()
            reserved = load.run(server.url, f"/api/reserve/{drop_id}", count=units, connections=size.http_connections)
            updates_a_second = len(viewer.named("stockUpdate")) / (time.time() - began)
            first = stack.value("select min(id) from reservations where drop_id = %s", [drop_id])
            _reorder_users(stack, drop_id, first)
            progress(f"in a storm: {units:,} buyers buy")
            began = time.time()
            bought = load.run(
                server.url, "/api/purchase/M", count=units, connections=size.http_connections, path_first=first
            )
            _wait(viewer, "newPurchase", units)
            purchases_a_second = units / (time.time() - began)
        stock = _stock_delays(stack, viewer, drop_id, units)
        purchases = _purchase_delays(stack, viewer, drop_id)
    _tell(report, "in a storm", stock, purchases)
    report.figure("stockUpdates to each viewer, in a storm", "/s", [updates_a_second])
    report.figure("newPurchases published, in a storm", "/s", [purchases_a_second])
    report.figure("holds, in a storm", "/s", [reserved.per_second])
    report.figure("purchases, in a storm", "/s", [bought.per_second])
    if not parts:
        report.notes.append(f"delivery's share of the processor time {NOT_SAMPLED}")
        return
    share = parts["events"] / max(1, sum(parts.values()))
    report.figure("delivery's share of the function's processor time", "%", [share * 100])
    report.data["delivery_share"] = share


def _reorder_users(stack: Stack, drop_id: int, first: int) -> None:
    """Give hold number `first` + n to user 1 + n, whoever came when, so that the crowd knows which hold is whose."""
    with stack.connect() as connection:
        connection.execute("set session_replication_role = replica")
        shifted = "update reservations set user_id = -id where drop_id = %s"
        connection.execute(shifted, [drop_id])
        connection.execute("update reservations set user_id = 1 + id - %s where drop_id = %s", [first, drop_id])


def _channels(drop_id: int) -> tuple[str, str]:
    return f"cache-drop-{drop_id}", f"drop-{drop_id}"


def _wait(viewer: Subscriber, name: str, count: int) -> None:
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while len(viewer.named(name)) < count:
        assert time.monotonic() < give_up, f"{len(viewer.named(name))} of {count} {name} events came"
        time.sleep(0.02)


def _stock_delays(stack: Stack, viewer: Subscriber, drop_id: int, units: int) -> list[float]:
    """For each hold in the order they were made: seconds until the viewer knew of a stock that low."""
    viewer.wait_for(lambda event: event["event"] == "stockUpdate" and event["data"]["availableStock"] == 0)
    updates = [event for event in viewer.events if event["event"] == "stockUpdate"]
    with stack.connect() as connection:
        rows = connection.execute(
            "select extract(epoch from created_at)::float8 from reservations where drop_id = %s order by 1", [drop_id]
        ).fetchall()
    assert len(rows) == units
    delays, position = [], 0
    for number, (made,) in enumerate(rows, 1):
        while updates[position]["data"]["availableStock"] > units - number:
            position += 1
        delays.append(max(0.0, updates[position]["at"] - made))
    return delays


def _purchase_delays(stack: Stack, viewer: Subscriber, drop_id: int) -> list[float]:
    heard = {
        event["data"]["purchaseId"]: event["at"] for event in reversed(viewer.events) if event["event"] == "newPurchase"
    }
    with stack.connect() as connection:
        rows = connection.execute(
            "select id, extract(epoch from created_at)::float8 from purchases where drop_id = %s", [drop_id]
        ).fetchall()
    return [max(0.0, heard[purchase_id] - made) for purchase_id, made in rows]
