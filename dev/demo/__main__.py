"""`make demo`: opens a drop for a simulated crowd, shows what happens as it happens, and counts at the end.

Against the running `make dev`, or any deployment in AUTH_MODE=trusted: `make demo URL=… ADMIN_TOKEN=…`.
Exit code 0: every figure adds up; 1: one does not; 2: it could not be tried. Ctrl-C ends the drop.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import secrets
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from dev.demo import report
from dev.demo.crowd import REQUEST_SECONDS, Buyer, Ledger, Shop
from dev.demo.watch import Viewer

SAMPLE_SECONDS = 0.25
MAKING_USERS_AT_ONCE = 8
# After the last buyer has left: for the sweep to return what was walked away from, and for the last events.
SETTLE_SECONDS = 20.0
QUIET_SECONDS = 1.5


class CannotTry(Exception):
    """There is no shop to try it on; the text is the remedy."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("url", nargs="?", default="", help="default: http://localhost:4000")
    parser.add_argument("--buyers", type=int, default=300)
    parser.add_argument("--units", type=int, default=60)
    parser.add_argument("--hold-seconds", type=int, default=12)
    parser.add_argument("--opens-in", type=float, default=6, help="seconds until the drop starts")
    parser.add_argument("--seed", type=int, default=None, help="the same crowd again")
    parser.add_argument("--chart", type=Path, default=Path(".local/demo"), help="folder of the SVG")
    return parser.parse_args()


async def call(http: httpx2.AsyncClient, method: str, path: str, **more: Any) -> dict[str, Any]:
    """The body of a reply that must be a success. Raises CannotTry with the shop's own words."""
    try:
        reply = await http.request(method, path, **more)
    except httpx2.TransportError as error:
        raise CannotTry(f"{http.base_url} does not answer ({type(error).__name__}); start it with: make dev") from None
    if not reply.is_success:
        raise CannotTry(f"{method} {path} gave {reply.status_code}: {reply.text[:300]}")
    body: dict[str, Any] = reply.json()
    return body


async def make_users(http: httpx2.AsyncClient, count: int, bar: Progress, task: TaskID) -> list[int]:
    run, room = uuid.uuid4().hex[:6], asyncio.Semaphore(MAKING_USERS_AT_ONCE)

    async def make(number: int) -> int:
        async with room:
            answer = await call(http, "POST", "/api/users", json={"username": f"crowd-{run}-{number:04}"})
        bar.advance(task)
        return int(answer["user"]["id"])

    return await asyncio.gather(*(make(number) for number in range(count)))


async def open_drop(http: httpx2.AsyncClient, wanted: argparse.Namespace) -> dict[str, Any]:
    token = os.environ.get("ADMIN_TOKEN")
    starts = datetime.now(UTC) + timedelta(seconds=wanted.opens_in)
    body = {
        "name": f"Demo crowd, {starts:%H:%M:%S}", "price": 120, "totalStock": wanted.units, "maxPerUser": 1,
        "holdSeconds": wanted.hold_seconds, "dropStartTime": starts.isoformat(),
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    drop: dict[str, Any] = (await call(http, "POST", "/api/drops", json=body, headers=headers))["drop"]
    return drop


@contextlib.contextmanager
def progress(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description:11}"),
        BarColumn(40),
        TextColumn("{task.fields[line]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        yield bar


async def sell(bar: Progress, shop: Shop, users: list[int], viewer: Viewer, opens_at: float, seed: int) -> list[Any]:
    """Let the crowd in; samples (monotonic, held, sold) until the last buyer has left and no hold is live."""
    ledger, samples = shop.ledger, []
    # A seed gives the same crowd again, which no secure generator can.
    dice = random.Random(seed)  # noqa: S311 - habits of a crowd, not a secret
    crowd = [
        asyncio.create_task(Buyer(shop, user, opens_at, random.Random(dice.random())).live())  # noqa: S311 - habits of one
        for user in users
    ]
    task = bar.add_task("sold", total=shop.drop["totalStock"], line="")
    give_up = None
    try:
        while True:
            samples.append((time.monotonic(), len(ledger.held), len(ledger.purchases)))
            bar.update(task, completed=len(ledger.purchases), line=live_line(ledger, viewer, opens_at, len(users)))
            everybody_left = all(buyer.done() for buyer in crowd)
            if everybody_left and give_up is None:
                give_up = time.monotonic() + SETTLE_SECONDS
            if give_up is not None and (time.monotonic() > give_up or await asyncio.to_thread(is_settled, viewer)):
                break
            await asyncio.sleep(SAMPLE_SECONDS)
        for buyer in crowd:
            buyer.result()  # a bug of the crowd itself must not pass for a buyer who left
    finally:
        for buyer in crowd:
            buyer.cancel()
    return samples


def is_settled(viewer: Viewer) -> bool:
    drop = viewer.look()
    return bool(drop["availableStock"] + drop["soldCount"] == drop["totalStock"] and drop["nextExpiryAt"] is None)


def live_line(ledger: Ledger, viewer: Viewer, opens_at: float, buyers: int) -> str:
    wait = opens_at - time.monotonic()
    if wait > 0:
        return f"{buyers} people are waiting; opens in {wait:.0f} s"
    second = [answer for answer in ledger.answers[-500:] if answer.at > time.monotonic() - 1]
    return (
        f"{len(ledger.purchases)} sold, {len(ledger.held)} held, {viewer.stock[-1][1]} left, "
        f"{ledger.refusals()} refused, {len(second)} requests/s, {buyers - ledger.gone} still here"
    )


async def run(wanted: argparse.Namespace, url: str, console: Console) -> bool:
    seed = wanted.seed if wanted.seed is not None else secrets.randbelow(10**6)
    limits = httpx2.Limits(max_connections=64, max_keepalive_connections=64)
    async with httpx2.AsyncClient(base_url=url, timeout=REQUEST_SECONDS, limits=limits) as http:
        await call(http, "GET", "/api/health")
        with progress(console) as bar:
            task = bar.add_task("buyers", total=wanted.buyers, line="register")
            users = await make_users(http, wanted.buyers, bar, task)
            drop = await open_drop(http, wanted)
            try:
                return await follow(wanted, url, bar, http, drop, users, seed)
            except asyncio.CancelledError:
                await end_drop(http, drop["id"])
                raise


async def follow(
    wanted: argparse.Namespace, url: str, bar: Progress, http: httpx2.AsyncClient, drop: dict[str, Any],
    users: list[int], seed: int,
) -> bool:  # fmt: skip
    """Let the crowd at the drop, then tell what came of it."""
    starts = datetime.fromisoformat(drop["dropStartTime"]).timestamp()
    opens_at = time.monotonic() + starts - time.time()
    bar.console.print(f"watch it at {url}/?drop={drop['id']}   (seed {seed})")
    ledger = Ledger()
    with httpx2.Client(base_url=url, timeout=REQUEST_SECONDS) as eyes:
        viewer = Viewer(eyes, drop["id"])
        await asyncio.to_thread(viewer.start)
        try:
            samples = await sell(bar, Shop(http, drop, ledger), users, viewer, opens_at, seed)
            await asyncio.sleep(QUIET_SECONDS)
            drop = await asyncio.to_thread(viewer.look)
        finally:
            viewer.stop()
    bar.stop()
    chart = wanted.chart / f"drop-{drop['id']}.svg"
    report.draw(chart, drop, samples, viewer, opens_at)
    adds_up = report.print_summary(bar.console, ledger, viewer, drop, opens_at)
    bar.console.print(f"chart: {chart}")
    return adds_up


async def end_drop(http: httpx2.AsyncClient, drop_id: int) -> None:
    token = os.environ.get("ADMIN_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with contextlib.suppress(httpx2.TransportError):
        await http.patch(f"/api/drops/{drop_id}", json={"state": "CANCELLED"}, headers=headers)


def main() -> int:
    wanted, console = options(), Console(highlight=False)
    url = (wanted.url or "http://localhost:4000").rstrip("/")
    try:
        return 0 if asyncio.run(run(wanted, url, console)) else 1
    except CannotTry as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the drop is cancelled", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
