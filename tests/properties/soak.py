"""`make soak MINUTES=10`: histories of the whole shop against the model, each round from a seed of its own.

One round in five, by its seed, publishes through the real soketi to a real pusher-js client. Exit code 1 with the first
history that breaks a promise; `make soak SEED=…` with the seed of its round repeats what chance chose. A race need not
repeat.
"""

import argparse
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from dev.processes import StackError, guard
from dev.soketi import Soketi
from lib import db, realtime
from lib.settings import settings
from tests.properties.run import STEPS, run
from tests.properties.soketi import RealWire
from tests.properties.wire import Wire
from tests.properties.world import world
from tests.support.database import Database
from tests.support.servers import TEMPLATE, Servers, ServerSet
from tests.support.subscriber import Subscriber

HISTORIES = 50
REAL_EVERY = 5
LINE = "{:>6} {:>12} {:10} {:>8} {:>8} {:>9}"


@contextmanager
def environment() -> Iterator[Callable[..., None]]:
    """configure(NAME="value", ...): what functions see from now on."""
    with pytest.MonkeyPatch.context() as patch:

        def configure(**variables: str) -> None:
            for name, value in variables.items():
                patch.setenv(name, value)
            settings.cache_clear()
            db.close_pool()
            realtime.close()

        yield configure


def play(servers: Servers, seed: int, real: bool, histories: int) -> Counter[str]:
    """One round on a database of its own; what was done and answered."""
    name = f"soak_{os.getpid()}_{seed}"
    with ExitStack() as stack:
        admin = stack.enter_context(psycopg.connect(servers.direct_url("postgres"), autocommit=True))
        admin.execute(f"create database {name} template {TEMPLATE}")
        stack.callback(lambda: admin.execute(f"drop database {name} with (force)"))
        configure = stack.enter_context(environment())
        configure(HOLDFAST_ENV="development", DATABASE_URL=servers.pooled_url(name))
        connection = stack.enter_context(psycopg.connect(servers.direct_url(name), autocommit=True))
        database = Database(servers.pooled_url(name), servers.direct_url(name), connection)
        wire, channel = Wire(), None
        if real:
            channel = stack.enter_context(Soketi()).env()
            wire = RealWire(stack.enter_context(Subscriber(channel)))
        shared = stack.enter_context(world(database, configure, wire, channel))
        run(shared, histories, seed)
        shared.seen["messages"] = wire.published
        return shared.seen


def soak(minutes: float, first_seed: int, histories: int) -> Counter[str]:
    """Rounds until the time is up, one at least. Raises what the first broken promise raises."""
    servers = ServerSet()
    total: Counter[str] = Counter()
    began = time.monotonic()
    print(f"{histories} histories of up to {STEPS} steps a round; first seed {first_seed}")
    print(LINE.format("round", "seed", "channel", "steps", "total", "steps/s"), flush=True)
    try:
        where = servers.start()
        number = 0
        while number == 0 or time.monotonic() - began < minutes * 60:
            seed = first_seed + number
            real = seed % REAL_EVERY == 0
            started = time.monotonic()
            try:
                seen = play(where, seed, real, histories)
            except BaseException:
                print(f"\nRound {number + 1} broke a promise. Repeat it with: make soak SEED={seed}", flush=True)
                raise
            total += seen
            number += 1
            rate = seen["steps"] / (time.monotonic() - started)
            kind = "soketi" if real else "recorded"
            print(LINE.format(number, seed, kind, seen["steps"], total["steps"], f"{rate:.0f}"), flush=True)
    finally:
        servers.stop()
    total["rounds"] = number
    return total


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--minutes", type=float, help="rounds begin as long (default 10; one round with --seed)")
    parser.add_argument("--seed", type=int, help="of the first round; the next ones count up")
    parser.add_argument("--histories", type=int, default=HISTORIES, help="of a round; a seed stands for as many")
    chosen = parser.parse_args()
    minutes, seed = chosen.minutes, chosen.seed
    if minutes is None:
        minutes = 10 if seed is None else 0
    if seed is None:
        seed = random.SystemRandom().randrange(1_000_000)  # short, to be typed again
    began = time.monotonic()
    try:
        total = soak(minutes, seed, chosen.histories)
    except StackError as error:
        print(f"error: {error}")
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        guard.close()
    seconds = time.monotonic() - began
    print(f"\nno promise broken in {total.pop('steps'):,} steps of {total.pop('rounds')} rounds, {seconds:.0f} s")
    for name, count in sorted(total.items()):
        print(f"  {name:45} {count:>9,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
