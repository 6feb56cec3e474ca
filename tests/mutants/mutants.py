"""Deliberate breakages: each puts `new` in place of `old`, which must be in its file once, and some test must turn red.

`tests` are what is run to see that; the first that fails ends the run, so the likeliest stands first. When the code
changes, change `old` and `new` with it: tests/test_mutants.py says which no longer fit.
"""

from dataclasses import dataclass
from pathlib import Path

from dev.npm import ROOT

STOCK = "sql/functions.sql"
DROPS = "sql/functions_drops.sql"
EVENTS = "sql/functions_events.sql"
AUDIT = "sql/functions_audit.sql"
LOCKS = "tests/test_locks.py"
HOLDS = "tests/test_holds.py"
PROMISES = "tests/test_promises.py"
RESTOCK = "tests/test_restock.py"
OUTBOX = "tests/test_outbox.py"


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def fits(self, root: Path = ROOT) -> bool:
        """Whether the old text is in the file exactly once."""
        return (root / self.file).read_text().count(self.old) == 1

    def apply(self, root: Path) -> None:
        path = root / self.file
        path.write_text(path.read_text().replace(self.old, self.new))


RESERVE = [
    Mutant(
        "a hold past its deadline is given again",
        STOCK,
        "if hold.expires_at > server_time then\n    outcome := 'replayed';",
        "if hold.id is not null then\n    outcome := 'replayed';",
        (HOLDS, PROMISES),
    ),
    Mutant(
        "a hold in a cancelled drop is given again",
        STOCK,
        "if v_drop.refusal = 'drop_cancelled' then",
        "if false then",
        (HOLDS, "tests/test_drops_api.py"),
    ),
    Mutant(
        "no limit is looked at",
        STOCK,
        "and over_limit(v_drop.max_per_user, p_drop, p_user) then 'limit_reached'",
        "and false then 'limit_reached'",
        (HOLDS, LOCKS),
    ),
    Mutant(
        "the limit is not looked at again after the insert",
        STOCK,
        "if v_drop.max_per_user is not null and over_limit(v_drop.max_per_user, p_drop, p_user) then",
        "if false then",
        ("tests/test_waits.py", PROMISES),
    ),
    Mutant("one more than the limit", STOCK, "return p_max <= (", "return p_max < (", (HOLDS,)),
    Mutant(
        "locked units are told sold out",
        STOCK,
        "if v_stripe < 0 then outcome := 'busy'",
        "if v_stripe < 0 then outcome := 'sold_out'",
        (LOCKS,),
    ),
    Mutant(
        "who got the last unit in another window is told sold out",
        STOCK,
        "outcome := case when hold.expires_at > server_time then 'replayed' else 'sold_out' end;",
        "outcome := 'sold_out';",
        (LOCKS,),
    ),
    Mutant(
        "a hold takes no unit",
        STOCK,
        "set available = s.available - 1, changes",
        "set available = s.available - 0, changes",
        (LOCKS, PROMISES),
    ),
    Mutant(
        "nobody hears of a hold",
        STOCK,
        "  perform mark_stock(p_drop);\n  outcome := 'ok';",
        "  outcome := 'ok';",
        (LOCKS, PROMISES),
    ),
    Mutant(
        "reserve waits for a stripe with stock",
        STOCK,
        "v_stripe + 3 and s.available > 0\n  order by s.stripe limit 1 for no key update skip locked;",
        "v_stripe + 3 and s.available > 0\n  order by s.stripe limit 1 for no key update;",
        (LOCKS,),
    ),
    Mutant(
        "stripes beyond the random four are not looked at",
        STOCK,
        "for no key update skip locked;\n    if found then return v_stripe; end if;\n  end if;",
        "for no key update skip locked;\n  end if;",
        (PROMISES, HOLDS),
    ),
    Mutant(
        "the end time is the last moment of a drop, not the first after it",
        STOCK,
        "when p_drop.drop_end_time <= p_now",
        "when p_drop.drop_end_time < p_now",
        (HOLDS, "tests/test_drops_api.py"),
    ),
    Mutant("a paused drop sells", STOCK, "when p_drop.state = 'PAUSED' then 'drop_paused'", "", (LOCKS, HOLDS)),
    Mutant(
        "a drop sells before it starts",
        STOCK,
        "when p_drop.drop_start_time > p_now then 'drop_not_started'",
        "when false then 'drop_not_started'",
        (LOCKS, HOLDS),
    ),
]
EXPIRE = [
    Mutant(
        "live holds of a locked stripe are expired too",
        STOCK,
        "and r.expires_at <= p_now\n      and r.stripe = any (p_stripes)",
        "\n      and r.stripe = any (p_stripes)",
        (PROMISES, HOLDS, LOCKS),
    ),
    Mutant(
        "the sweep waits for a hold that is being bought",
        STOCK,
        "for no key update of r skip locked",
        "for no key update of r",
        (LOCKS,),
    ),
    Mutant(
        "the sweep waits for stripes",
        STOCK,
        "for no key update of s skip locked",
        "for no key update of s",
        (LOCKS,),
    ),
    Mutant(
        "of several expired holds one unit comes back",
        STOCK,
        "set available = s.available + t.units",
        "set available = s.available + 1",
        (LOCKS, PROMISES),
    ),
    Mutant(
        "nobody hears of units that come back",
        STOCK,
        "if v_expired > 0 then perform mark_stock(p_drop); end if;",
        "",
        (OUTBOX, "tests/test_events.py", "tests/test_sweep.py", "tests/test_holds.py"),
    ),
    Mutant(
        "the buyer's own overdue hold returns no unit",
        STOCK,
        "set available = s.available + 1, changes = s.changes + 1, expired = s.expired + 1",
        "set available = s.available + 0, changes = s.changes + 1, expired = s.expired + 1",
        (HOLDS, PROMISES),
    ),
    Mutant(
        "the stripe of the buyer's own overdue hold is waited for",
        STOCK,
        "for no key update skip locked;\n  if not found then return 'busy'; end if;",
        "for no key update;\n  if not found then return 'busy'; end if;",
        (LOCKS, HOLDS, "tests/test_waits.py"),
    ),
]
PURCHASE = [
    Mutant(
        "a hold can be bought at its deadline",
        STOCK,
        "when v_hold.expires_at <= v_now then 'reservation_expired'",
        "when v_hold.expires_at < v_now then 'reservation_expired'",
        (HOLDS,),
    ),
    Mutant(
        "a hold can be bought for ever",
        STOCK,
        "when v_hold.expires_at <= v_now then 'reservation_expired'",
        "when false then 'reservation_expired'",
        (HOLDS, PROMISES),
    ),
    Mutant(
        "the deadline is compared before the lock",
        STOCK,
        "  select * into v_hold from reservations r where r.id = p_reservation for no key update;\n"
        "  if not found then outcome := 'reservation_not_found'; return; end if;\n  v_now := clock();",
        "  v_now := clock();\n"
        "  select * into v_hold from reservations r where r.id = p_reservation for no key update;\n"
        "  if not found then outcome := 'reservation_not_found'; return; end if;",
        ("tests/test_waits.py", LOCKS),
    ),
    Mutant(
        "purchase does not lock its hold",
        STOCK,
        "select * into v_hold from reservations r where r.id = p_reservation for no key update;",
        "select * into v_hold from reservations r where r.id = p_reservation;",
        ("tests/test_waits.py", PROMISES),
    ),
    Mutant(
        "anybody buys anybody's hold",
        STOCK,
        "when v_hold.user_id <> p_user then 'not_owner'",
        "when false then 'not_owner'",
        (HOLDS, "tests/test_buying_api.py"),
    ),
    Mutant(
        "a cancelled drop sells its holds",
        STOCK,
        "if v_drop.state = 'CANCELLED' then outcome := 'drop_cancelled'; return; end if;",
        "",
        (HOLDS,),
    ),
    Mutant(
        "a repeated purchase is told anew",
        STOCK,
        "if outcome = 'replayed' then select * into bought",
        "if outcome = 'never' then select * into bought",
        (PROMISES, HOLDS),
    ),
]
RELEASE = [
    Mutant(
        "release returns no unit",
        STOCK,
        "set available = s.available + 1, changes = s.changes + 1, released = s.released + 1",
        "set available = s.available + 0, changes = s.changes + 1, released = s.released + 1",
        (PROMISES, HOLDS),
    ),
    Mutant(
        "release past the deadline returns a unit",
        STOCK,
        "when hold.status = 'EXPIRED' or hold.expires_at <= v_now then",
        "when hold.status = 'EXPIRED' then",
        (HOLDS,),
    ),
    Mutant(
        "anybody gives back anybody's hold",
        STOCK,
        "if hold.user_id <> p_user then outcome := 'not_owner'; hold := null; return; end if;",
        "",
        (HOLDS, "tests/test_buying_api.py"),
    ),
    Mutant(
        "release trusts what it read before the locks",
        STOCK,
        "  select * into hold from reservations r where r.id = p_reservation for no key update;\n",
        "",
        ("tests/test_waits.py", PROMISES),
    ),
]
SHOP = [
    Mutant(
        "a restock takes what is held",
        DROPS,
        "when on_sale + p_quantity < 0 then",
        "when on_sale + p_quantity < -1 then",
        (RESTOCK,),
    ),
    Mutant(
        "a refused restock uses up its key",
        DROPS,
        "delete from idempotency_keys k where k.operation = 'restock' and k.key = p_key;",
        "null;",
        (RESTOCK, "tests/test_idempotency_keys.py"),
    ),
    Mutant(
        "a key answers for any request",
        DROPS,
        "outcome := case when v_first.request_hash = p_hash then 'replayed' else 'idempotency_mismatch' end;",
        "outcome := 'replayed';",
        ("tests/test_idempotency_keys.py", RESTOCK),
    ),
    Mutant(
        "the remainder of an uneven split is lost",
        DROPS,
        "+ (n < z.total_stock % z.stripes)::integer",
        "+ 0",
        (PROMISES, RESTOCK),
    ),
    Mutant(
        "a cancelled drop can be opened again",
        DROPS,
        "if v_drop.state = 'CANCELLED' and p_changes ->> 'state' <> 'CANCELLED' then return 'drop_cancelled'; end if;",
        "",
        ("tests/test_drops_api.py",),
    ),
    Mutant(
        "an hour of keys is kept, not a day",
        DROPS,
        "clock() - interval '1 day'",
        "clock() - interval '1 hour'",
        ("tests/test_idempotency_keys.py",),
    ),
    Mutant(
        "who lowers a limit makes criminals of its buyers",
        DROPS,
        "then greatest(v_drop.max_per_user, d.highest_max_per_user) end",
        "then v_drop.max_per_user end",
        ("tests/test_audit.py",),
    ),
]
TOLD = [
    Mutant(
        "a stockUpdate has the version of the one before",
        EVENTS,
        "set version = p_feed.version + 1, stock_sent = v_available",
        "set version = p_feed.version, stock_sent = v_available",
        (OUTBOX, "tests/test_events.py"),
    ),
    Mutant(
        "two stockUpdates of a drop are on their way at once",
        EVENTS,
        "and o.kind in ('stock', 'changed') and o.leased_until > p_now) then",
        "and o.kind in ('stock', 'changed') and false) then",
        (OUTBOX,),
    ),
    Mutant(
        "two deliverers lease the same purchase",
        EVENTS,
        "order by o.id limit p_limit for update skip locked",
        "order by o.id limit p_limit",
        (OUTBOX, "tests/test_waits.py"),
    ),
    Mutant(
        "a hot drop sends as often as it sells",
        EVENTS,
        "v_early boolean := p_feed.stock_sent_at > p_now - p_gap;",
        "v_early boolean := false;",
        (OUTBOX,),
    ),
    Mutant(
        "sold out waits for the gap",
        EVENTS,
        "if (v_available = 0) = (p_feed.stock_sent = 0) then return null; end if;",
        "return null;",
        (OUTBOX,),
    ),
]
PYTHON = [
    Mutant(
        "busy is told at once",
        "lib/inventory.py",
        "if row.outcome != errors.Busy.code:\n            return row",
        "if row.outcome:\n            return row",
        (LOCKS, "tests/test_contention.py", "tests/test_faults.py"),
    ),
    Mutant(
        "what is on its way is sent again before its lease is over",
        "lib/events.py",
        "if not error.on_its_way:",
        "if True:",
        ("tests/test_channel_down.py", "tests/test_courier.py"),
    ),
    Mutant(
        "an event is acked before it is published",
        "lib/events.py",
        "            realtime.publish([message for event in batch for message in messages(event)])\n"
        '            done += [event["id"] for event in batch]',
        '            done += [event["id"] for event in batch]\n'
        "            realtime.publish([message for event in batch for message in messages(event)])",
        ("tests/test_channel_down.py", "tests/test_courier.py", "tests/test_outbox.py"),
    ),
    Mutant(
        "soketi's refusals are taken for success",
        "lib/realtime.py",
        'if isinstance(answer, dict) and "error" in answer:',
        "if False:",
        ("tests/test_channel_down.py",),
    ),
    Mutant(
        "a dead connection is the caller's problem",
        "lib/db.py",
        "if was_warm and connection.broken:",
        "if False:",
        ("tests/test_database_connections.py", "tests/test_database_outages.py"),
    ),
    Mutant(
        "the sweep delivers nothing",
        "scheduled/reap.py",
        "published += events.deliver(min(1.0, max(0.0, until - time.monotonic())))",
        "published += 0",
        ("tests/test_sweep.py", "tests/test_killed_function.py"),
    ),
    Mutant(
        "a wrong count is no suspicion",
        AUDIT,
        "p_thorough or exists (select from units u where u.total <> u.available + u.held + u.purchased)",
        "p_thorough",
        ("tests/test_audit.py",),
    ),
]
MUTANTS = [*RESERVE, *EXPIRE, *PURCHASE, *RELEASE, *SHOP, *TOLD, *PYTHON]
