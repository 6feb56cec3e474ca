"""`make smoke URL=https://…`: does a deployment sell? One unit is made, held, sold and announced; then it is cancelled.

ADMIN_TOKEN is the deployment's own; where AUTH_MODE is jwt, BUYER_TOKEN is a buyer's token. Exit code 0: everything
works; 1: something does not; 2: it could not be tried.
Nobody else can have the unit but in the instant between opening the drop and reserving, one request long: until then
the drop has not started and is paused, afterwards it is paused again, and at the end it is cancelled, whatever happens.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from dev.channel import Channel

# A cold start, and a database that has to wake up.
REQUEST_SECONDS = 30.0
EVENT_SECONDS = 15.0
# Further from now than any clock is wrong: the drop starts so long after it was made, and then so long ago.
FAR = timedelta(days=1)


class Failed(Exception):
    """A step did not give what it should; the text says what it gave."""


@dataclass
class Step:
    """One line of the table."""

    name: str
    ms: float
    note: str
    ok: bool


@dataclass
class Smoke:
    """The steps in order; what one finds, the next ones use."""

    http: httpx2.Client
    admin: dict[str, str]
    buyer: dict[str, str]
    steps: list[Step] = field(default_factory=list)
    drop: int = 0
    user: int = 0
    hold: int = 0
    realtime: dict[str, Any] = field(default_factory=dict)
    channel: Channel | None = None

    def step(self, name: str, run: Callable[[], str]) -> bool:
        """Run one step, note its time; whether it went well."""
        began = time.monotonic()
        try:
            note, ok = run(), True
        except Failed as error:
            note, ok = str(error), False
        except Exception as error:  # of the network, of the WebSocket, of an answer that is not what it should be
            note, ok = f"{type(error).__name__}: {error}", False
        self.steps.append(Step(name, (time.monotonic() - began) * 1000, note, ok))
        return ok

    def call(self, method: str, path: str, wanted: int, **more: Any) -> dict[str, Any]:
        """The body of an answer that must have the status `wanted`."""
        answer = self.http.request(method, path, **more)
        try:
            body = answer.json()
        except ValueError:
            body = {}
        if answer.status_code != wanted:
            detail = body.get("detail") if isinstance(body, dict) else None
            raise Failed(f"{method} {path} gave {answer.status_code}, not {wanted}: {detail or answer.text[:200]}")
        return body if isinstance(body, dict) else {"items": body}

    def health(self) -> str:
        found = self.call("GET", "/api/health", 200)
        if found["status"] != "ok":
            raise Failed(f"{found['status']}: {', '.join([*found['problems'], *found['configuration']])}")
        return f"database {found['database']['ms']} ms, commit {found['commit']}"

    def create(self) -> str:
        body = {"name": "Smoke test", "price": 1, "totalStock": 1, "holdSeconds": 60, "dropStartTime": from_now(FAR)}
        self.drop = self.call("POST", "/api/drops", 201, json=body, headers=self.admin)["drop"]["id"]
        return self.set_state("PAUSED", f"drop {self.drop}, ")

    def set_state(self, state: str, prefix: str = "", **more: str) -> str:
        path = f"/api/drops/{self.drop}"
        changed = self.call("PATCH", path, 200, json={"state": state, **more}, headers=self.admin)["drop"]["status"]
        return f"{prefix}{changed}"

    def create_user(self) -> str:
        if self.buyer:
            return "the bearer of BUYER_TOKEN"
        try:
            answer = self.call("POST", "/api/users", 201, json={"username": f"smoke-{uuid.uuid4().hex[:12]}"})
        except Failed as error:
            raise Failed(f"{error} Where AUTH_MODE is jwt, set BUYER_TOKEN to a buyer's token.") from None
        self.user = answer["user"]["id"]
        return f"user {self.user}"

    def subscribe(self) -> str:
        realtime = self.call("GET", "/api/realtime", 200)
        names = [realtime["channels"][kind].replace("{id}", str(self.drop)) for kind in ("drop", "stock")]
        self.channel = Channel(realtime, *names)
        return ", ".join(names)

    def refuse(self) -> str:
        answer = self.http.post(f"/api/reserve/{self.drop}", json=self.who(), headers=self.buyer)
        if answer.status_code != 409 or answer.json()["code"] != "drop_paused":
            raise Failed(f"a paused drop gave {answer.status_code}: {answer.text[:200]}")
        return "drop_paused, as it should"

    def reserve(self) -> str:
        path = f"/api/reserve/{self.drop}"
        self.set_state("OPEN", dropStartTime=from_now(-FAR))
        self.hold = self.call("POST", path, 201, json=self.who(), headers=self.buyer)["reservation"]["id"]
        again = self.call("POST", path, 200, json=self.who(), headers=self.buyer)["reservation"]["id"]
        if again != self.hold:
            raise Failed(f"repeated, it gave reservation {again}, not {self.hold}")
        self.set_state("PAUSED")
        return f"reservation {self.hold}, the same when repeated"

    def purchase(self) -> str:
        path = f"/api/purchase/{self.hold}"
        bought = self.call("POST", path, 201, json=self.who(), headers=self.buyer)["purchase"]["id"]
        if self.call("POST", path, 200, json=self.who(), headers=self.buyer)["purchase"]["id"] != bought:
            raise Failed("repeated, it gave another purchase")
        return f"purchase {bought}, the same when repeated"

    def event(self) -> str:
        if self.channel is None:
            raise Failed("no channel")
        sold = self.channel.wait_for(lambda event: event["event"] == "newPurchase", EVENT_SECONDS)
        if sold["data"]["dropId"] != self.drop:
            raise Failed(f"it told of another drop: {sold['data']}")
        return f"newPurchase on {sold['channel']}"

    def who(self) -> dict[str, int]:
        return {} if self.buyer else {"userId": self.user}

    def run(self) -> bool:
        """Every step in order until one fails; the drop is cancelled in any case."""
        steps = [
            ("health", self.health),
            ("create a drop, paused", self.create),
            ("a user", self.create_user),
            ("subscribe", self.subscribe),
            ("reserve while paused", self.refuse),
            ("open and reserve", self.reserve),
            ("purchase", self.purchase),
            ("the event arrives", self.event),
        ]
        try:
            done = all(self.step(name, run) for name, run in steps)
        finally:
            cancelled = not self.drop or self.step("cancel the drop", lambda: self.set_state("CANCELLED"))
            if self.channel is not None:
                self.channel.close()
        return done and cancelled


def from_now(time: timedelta) -> str:
    return (datetime.now(UTC) + time).isoformat()


def main() -> int:
    url = sys.argv[1] if len(sys.argv) == 2 else ""
    token, buyer = os.environ.get("ADMIN_TOKEN"), os.environ.get("BUYER_TOKEN")
    if not url.startswith(("http://", "https://")):
        print("usage: ADMIN_TOKEN=… make smoke URL=https://your-deployment", file=sys.stderr)
        return 2
    # A development stack needs no token; a deployment says so itself, in the second line of the table.
    admin = {"Authorization": f"Bearer {token}"} if token else {}
    own = {"Authorization": f"Bearer {buyer}"} if buyer else {}
    # Vercel's deployment protection lets this header through:
    # https://vercel.com/docs/deployment-protection/methods-to-bypass-deployment-protection/protection-bypass-automation
    bypass = os.environ.get("VERCEL_AUTOMATION_BYPASS_SECRET")
    headers = {"x-vercel-protection-bypass": bypass} if bypass else {}
    with httpx2.Client(base_url=url.rstrip("/"), timeout=REQUEST_SECONDS, headers=headers) as http:
        smoke = Smoke(http, admin, own)
        try:
            http.get("/api/health")
        except httpx2.HTTPError as error:
            print(f"error: {url} does not answer: {type(error).__name__}: {error}", file=sys.stderr)
            return 2
        works = smoke.run()
    for step in smoke.steps:
        print(f"{'ok  ' if step.ok else 'FAIL'}  {step.name:24} {step.ms:7.0f} ms  {step.note}")
    print(f"\n{url} {'works' if works else 'does not work: see the first FAIL above'}")
    return 0 if works else 1


if __name__ == "__main__":
    sys.exit(main())
