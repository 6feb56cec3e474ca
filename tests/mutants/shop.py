"""Breakages of what the shop does, of what viewers are told, and of Python's part."""

from tests.mutants.mutant import AUDIT, DROPS, EVENTS, KEYS, OUTBOX, PROMISES, RESTOCK, SECURITY, Mutant

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
        KEYS,
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
        KEYS,
        "clock() - interval '1 day'",
        "clock() - interval '1 hour'",
        ("tests/test_sweep.py",),
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
        "the newest purchases of one drop are looked for among those of all",
        DROPS,
        "p.drop_id between d.id and d.id order by p.drop_id, p.id desc limit 3",
        "p.drop_id = d.id order by p.id desc limit 3",
        ("tests/test_read_plans.py",),
    ),
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
        ("tests/test_waits.py",),
    ),
    Mutant(
        "what is on its way is sent again before its lease is over",
        "lib/events.py",
        "if len(done) < len(events) and not on_its_way:",
        "if len(done) < len(events):",
        ("tests/test_channel_down.py", "tests/test_courier.py"),
    ),
    Mutant(
        "an event is acked before it is published",
        "lib/events.py",
        "            realtime.publish([message for event in batch for message in messages(event)], ends_at - now)\n"
        '            done += [event["id"] for event in batch]',
        '            done += [event["id"] for event in batch]\n'
        "            realtime.publish([message for event in batch for message in messages(event)], ends_at - now)",
        ("tests/test_channel_down.py", "tests/test_courier.py", "tests/test_outbox.py"),
    ),
    Mutant(
        "the clock's own delivery has only a request's time",
        "lib/events.py",
        "reply_waits = budget_seconds is None and settings().on_lambda",
        "reply_waits = settings().on_lambda",
        ("tests/test_courier.py",),
    ),
    Mutant(
        "holds wait for whoever is told of others",
        "scheduled/reap.py",
        "self._job = self._threads.submit(job)",
        "self._job = self._threads.submit(job)\n            self.wait()",
        ("tests/test_sweep.py",),
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
        "self._published += events.deliver(seconds)",
        "self._published += 0",
        ("tests/test_sweep.py", "tests/test_killed_function.py"),
    ),
    Mutant(
        "who finds no place to wait for a key waits for one",
        "lib/jwks.py",
        "self._waiting.acquire(blocking=False)",
        "self._waiting.acquire(blocking=True)",
        ("tests/test_jwks.py",),
    ),
    Mutant(
        "a wrong count is no suspicion",
        AUDIT,
        "p_thorough or exists (select from units u where u.total <> u.available + u.held + u.purchased)",
        "p_thorough",
        ("tests/test_audit.py",),
    ),
]
RIGHTS = [
    Mutant(
        "a caller's temporary tables come first",
        SECURITY,
        "set search_path = pg_catalog, %s, pg_temp'",
        "set search_path = pg_temp, pg_catalog, %s'",
        ("tests/test_roles.py",),
    ),
    Mutant(
        "everybody calls what functions use inside",
        SECURITY,
        "execute format('revoke all on function %s from public', v_function.signature);",
        "null;",
        ("tests/test_roles.py",),
    ),
]
