"""Breakages of what a buyer does with a hold, and of what ends one."""

from tests.mutants.mutant import HOLDS, LOCKS, OUTBOX, PROMISES, STOCK, Mutant

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
        (LOCKS, PROMISES),
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
        (OUTBOX,),
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
