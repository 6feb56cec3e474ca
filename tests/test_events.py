"""What real subscribers get, over real soketi, from what is asked over HTTP."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx2
import pytest

from lib import events, inventory
from tests.support.database import Database
from tests.support.outbox import buy, reserve_if_possible
from tests.support.subscriber import Subscriber

Make = Callable[..., Any]
WAITING = "select count(*) from outbox"


def of_drop(subscriber: Subscriber, drop: int) -> list[dict[str, Any]]:
    """Our events that name this drop, {channel, event, data}; other tests use the same server."""
    ours = [event for event in subscriber.events if not event["event"].startswith(("pusher", "state"))]
    return [
        {name: event[name] for name in ("channel", "event", "data")}
        for event in ours
        if event["data"]["dropId"] == drop
    ]


def wait_for_stock(subscriber: Subscriber, drop: int, stock: int, timeout_seconds: float = 10) -> None:
    def wanted(event: dict[str, Any]) -> bool:
        found = event["data"] if event["event"] == "stockUpdate" else {}
        return (found.get("dropId"), found.get("availableStock")) == (drop, stock)

    subscriber.wait_for(wanted, timeout_seconds)


def wait_for_last_stock(subscriber: Subscriber, drop: int, stock: int, timeout_seconds: float = 5) -> None:
    """The newest update may come later; one with this stock may have come before."""
    give_up = time.monotonic() + timeout_seconds
    while subscriber.named("stockUpdate")[-1:] == [] or subscriber.named("stockUpdate")[-1]["availableStock"] != stock:
        assert time.monotonic() < give_up, subscriber.named("stockUpdate")[-3:]
        time.sleep(0.02)


def wait_until_empty(database: Database) -> None:
    give_up = time.monotonic() + 10
    while database.value(WAITING) > 0:
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_a_new_drop_is_announced_to_all(client: httpx2.Client, subscribe: Make) -> None:
    everybody = subscribe("drops")
    body = {"name": "Air", "price": 200, "totalStock": 2}
    drop = client.post("/api/drops", json=body).raise_for_status().json()["drop"]["id"]

    everybody.wait_for(lambda event: event["event"] == "dropChanged" and event["data"]["dropId"] == drop)

    data = {"dropId": drop, "status": "LIVE", "version": 2}
    assert of_drop(everybody, drop) == [{"channel": "drops", "event": "dropChanged", "data": data}]


def test_a_changed_drop_is_told_to_its_viewers_and_to_all(
    client: httpx2.Client, subscribe: Make, make_drop: Make
) -> None:
    drop = make_drop(2)
    events.deliver()
    viewer = subscribe(f"cache-drop-{drop}", f"drop-{drop}", "drops")
    client.patch(f"/api/drops/{drop}", json={"state": "PAUSED"}).raise_for_status()

    for channel in (f"drop-{drop}", "drops"):
        viewer.wait_for(lambda event, channel=channel: event["event"] == "dropChanged" and event["channel"] == channel)

    data = {"dropId": drop, "status": "PAUSED", "version": 3}
    told = [{"channel": name, "event": "dropChanged", "data": data} for name in (f"drop-{drop}", "drops")]
    assert of_drop(viewer, drop) == told


def test_a_sale_is_told_with_the_names_and_types_of_the_contract(
    client: httpx2.Client, subscribe: Make, make_drop: Make, make_users: Make, database: Database
) -> None:
    drop, (user,) = make_drop(sizes=[("9", 2), ("10", 3)]), make_users(1)
    events.deliver()
    viewer = subscribe(f"cache-drop-{drop}", f"drop-{drop}", "drops")
    hold = client.post(f"/api/reserve/{drop}", json={"userId": user, "size": "9"}).json()["reservation"]["id"]
    wait_for_stock(viewer, drop, 4)
    bought = client.post(f"/api/purchase/{hold}", json={"userId": user}).json()["purchase"]
    viewer.wait_for(lambda event: event["event"] == "newPurchase")

    username = database.value("select username from users")
    sizes = [{"size": "9", "availableStock": 1}, {"size": "10", "availableStock": 3}]
    stock = {"dropId": drop, "availableStock": 4, "version": 3, "stockVersion": 1, "sizes": sizes}
    purchase = {
        "dropId": drop,
        "userId": user,
        "username": username,
        "timestamp": bought["timestamp"],
        "purchaseId": bought["id"],
    }
    assert of_drop(viewer, drop) == [
        {"channel": f"cache-drop-{drop}", "event": "stockUpdate", "data": stock},
        {"channel": f"drop-{drop}", "event": "newPurchase", "data": purchase},
    ]
    assert datetime.fromisoformat(purchase["timestamp"]).utcoffset() is not None


def test_a_drop_without_sizes_tells_none(
    client: httpx2.Client, subscribe: Make, make_drop: Make, make_users: Make
) -> None:
    drop, (user,) = make_drop(2), make_users(1)
    viewer = subscribe(f"cache-drop-{drop}")
    client.post(f"/api/reserve/{drop}", json={"userId": user}).raise_for_status()
    wait_for_stock(viewer, drop, 1)

    assert viewer.named("stockUpdate") == [{"dropId": drop, "availableStock": 1, "version": 3, "stockVersion": 1}]


def test_who_comes_late_gets_the_true_stock_from_the_cache_channel(
    client: httpx2.Client, subscribe: Make, make_drop: Make, make_users: Make, database: Database
) -> None:
    drop, users = make_drop(5), make_users(3)
    for user in users:
        hold = client.post(f"/api/reserve/{drop}", json={"userId": user}).json()["reservation"]["id"]
        client.post(f"/api/purchase/{hold}", json={"userId": user}).raise_for_status()
    wait_until_empty(database)

    late = subscribe(f"cache-drop-{drop}")
    wait_for_stock(late, drop, database.stock(drop)[0])

    assert len(of_drop(late, drop)) == 1


def test_sold_out_and_back_in_stock_arrive_before_the_gap_is_over(
    client: httpx2.Client, subscribe: Make, make_drop: Make, make_users: Make, configure: Make
) -> None:
    configure(STOCK_UPDATE_GAP_MS="60000")
    drop, (first, second) = make_drop(2), make_users(2)
    viewer = subscribe(f"cache-drop-{drop}")
    client.post(f"/api/reserve/{drop}", json={"userId": first}).raise_for_status()
    wait_for_stock(viewer, drop, 1)

    hold = client.post(f"/api/reserve/{drop}", json={"userId": second}).json()["reservation"]["id"]
    wait_for_stock(viewer, drop, 0, 2)
    time.sleep(1)  # a drop that flips to and fro is told early once a second
    client.request("DELETE", f"/api/reservations/{hold}", json={"userId": second}).raise_for_status()
    seen = len(viewer.named("stockUpdate"))
    give_up = time.monotonic() + 2
    while len(viewer.named("stockUpdate")) == seen:
        assert time.monotonic() < give_up
        time.sleep(0.01)

    assert [update["availableStock"] for update in viewer.named("stockUpdate")] == [1, 0, 1]


def test_each_of_200_purchases_at_once_is_told_once(
    client: httpx2.Client, subscribe: Make, make_drop: Make, make_users: Make, database: Database
) -> None:
    drop, users = make_drop(200, hold_seconds=3600), make_users(200)
    viewer = subscribe(f"drop-{drop}")
    holds = [(inventory.reserve(drop, user).id, user) for user in users]

    def purchase(hold: tuple[int, int]) -> int:
        return client.post(f"/api/purchase/{hold[0]}", json={"userId": hold[1]}).status_code

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(purchase, holds)) == {201}
    bought = [row[0] for row in database.rows("select id from purchases order by id")]
    wait_until_empty(database)
    viewer.wait_for(lambda _: len(viewer.named("newPurchase")) == len(bought))

    told = [purchase["purchaseId"] for purchase in viewer.named("newPurchase")]
    assert sorted(told) == bought


def test_purchases_of_one_buyer_after_the_other_are_told_in_their_order(
    client: httpx2.Client, subscribe: Make, make_drop: Make, make_users: Make
) -> None:
    drop = make_drop(40)
    viewer = subscribe(f"drop-{drop}")
    bought = []
    for user in make_users(40):
        hold = inventory.reserve(drop, user).id
        bought.append(client.post(f"/api/purchase/{hold}", json={"userId": user}).json()["purchase"]["id"])
    viewer.wait_for(lambda event: event["event"] == "newPurchase" and event["data"]["purchaseId"] == bought[-1])

    assert [purchase["purchaseId"] for purchase in viewer.named("newPurchase")] == bought


@pytest.mark.slow
@pytest.mark.xdist_group("heavy")
def test_a_storm_of_2000_reserves_is_told_in_at_most_five_updates_a_second(
    client: httpx2.Client, subscribe: Make, make_drop: Make, make_users: Make, database: Database
) -> None:
    drop, users = make_drop(1000, hold_seconds=3600), make_users(2000)
    database.connection.execute(LOG_UPDATES)
    viewer = subscribe(f"cache-drop-{drop}")

    def reserve(user: int) -> int:
        return client.post(f"/api/reserve/{drop}", json={"userId": user}).status_code

    with ThreadPoolExecutor(32) as threads:
        answers = Counter(threads.map(reserve, users))
    wait_for_last_stock(viewer, drop, 0)
    wait_until_empty(database)

    assert answers == {201: 1000, 409: 1000}
    sent = database.rows("select version, sent_at from sent where drop_id = %s order by sent_at", [drop])
    assert most_in_a_second([at.timestamp() for _, at in sent]) <= 5
    # By the moment at which each was handed out; what arrives is the same, in the same order.
    assert [update["version"] for update in viewer.named("stockUpdate")] == [version for version, _ in sent]
    database.assert_conserved()


# A line for each stockUpdate that is handed out.
LOG_UPDATES = """
create table sent (drop_id bigint, version bigint, sent_at timestamptz);
create function log_sent() returns trigger language plpgsql as $$
begin
  insert into sent values (new.drop_id, new.version, new.stock_sent_at);
  return null;
end $$;
create trigger log_sent after update on drop_feeds
for each row when (new.stock_sent_at is distinct from old.stock_sent_at) execute function log_sent();
"""


def most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= at < start + 1 for at in times) for start in times)


@pytest.mark.slow
@pytest.mark.xdist_group("heavy")
def test_deliverers_racing_in_20_drops_never_leave_an_old_stock_in_the_cache_channel(
    channel: dict[str, str], subscribe: Make, make_drop: Make, make_users: Make, database: Database, configure: Make
) -> None:
    configure(STOCK_UPDATE_GAP_MS="0")
    drops, users = [make_drop(40, hold_seconds=3600) for _ in range(20)], make_users(30)
    couriers = [events.Courier(), events.Courier(), events.Courier()]

    def reserve_and_deliver(number: int, drop: int) -> None:
        for user in users[number::3]:
            reserve_if_possible(drop, user)
            couriers[number].deliver(0)

    for drop in drops:
        racers = [threading.Thread(target=reserve_and_deliver, args=[number, drop]) for number in range(3)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
    while database.value(WAITING) > 0:
        events.deliver()

    late = subscribe(*[f"cache-drop-{drop}" for drop in drops])
    for drop in drops:
        late.wait_for(lambda event, drop=drop: event["event"] == "stockUpdate" and event["data"]["dropId"] == drop)
    cached = {update["dropId"]: update["availableStock"] for update in late.named("stockUpdate")}
    assert cached == dict.fromkeys(drops, 10)


@pytest.mark.parametrize(("label_length", "has_sizes"), [(40, False), (1, True)])
def test_50_sizes_of_emoji_are_told_if_they_fit_and_hold_nothing_up_if_not(
    client: httpx2.Client, subscribe: Make, make_drop: Make, make_users: Make, label_length: int, has_sizes: bool
) -> None:
    labels = [chr(0x1F600 + number) * label_length for number in range(50)]
    drop, (user,) = make_drop(sizes=[(label, 1_000_000 // 50) for label in labels]), make_users(1)
    viewer = subscribe(f"cache-drop-{drop}")
    client.post(f"/api/reserve/{drop}", json={"userId": user, "size": labels[0]}).raise_for_status()
    wait_for_stock(viewer, drop, 999_999)

    sizes = viewer.named("stockUpdate")[0].get("sizes")
    assert [size["size"] for size in sizes or []] == (labels if has_sizes else [])


def test_the_longest_name_of_a_buyer_arrives(subscribe: Make, make_drop: Make, database: Database) -> None:
    drop, name = make_drop(1), '\U0001f45f"\\' * 66
    viewer = subscribe(f"drop-{drop}")
    buy(drop, [database.value("insert into users (username) values (%s) returning id", [name])])
    events.deliver()
    viewer.wait_for(lambda event: event["event"] == "newPurchase")

    assert viewer.named("newPurchase")[0]["username"] == name


def test_without_a_channel_the_outbox_does_not_grow_and_browsers_are_told_to_poll(
    client: httpx2.Client, make_drop: Make, make_users: Make, database: Database
) -> None:
    drop, users = make_drop(5), make_users(3)
    for user in users:
        hold = client.post(f"/api/reserve/{drop}", json={"userId": user}).json()["reservation"]["id"]
        client.post(f"/api/purchase/{hold}", json={"userId": user}).raise_for_status()
    wait_until_empty(database)

    answer = client.get("/api/realtime")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_configured")
