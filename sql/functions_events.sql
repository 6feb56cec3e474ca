-- The outbox: what has to be published, leased to whoever publishes it. Conventions: functions.sql.
--
--   written (by the function that made it true) --claim_events--> leased --ack_events--> deleted
--                                                      ^------- the lease ran out -------'
--
-- An event is thus delivered at least once, whatever dies. Marks are folded: all marks of a drop become one event with the
-- state as it is at that moment and the drop's next version, so a hot drop costs a few messages a second.

-- Notes that a drop's stock changed, in the transaction that changed it. Where a mark is waiting to be folded, that one will
-- do: a hot drop would else write and delete a row for every hold. It must then stay until this transaction has
-- committed, or a fold that reads the stock too early would delete it and the change would never be told. So who
-- relies on it shares the advisory lock of the drop, and who deletes the last mark of a drop has that lock alone
-- (replace_marks). Both only try and never wait. Its key is negative: migrations use the positive ones.
create or replace function mark_stock(p_drop bigint) returns void
language plpgsql
as $$
begin
  if pg_try_advisory_xact_lock_shared(-p_drop) then
    -- A statement of its own, as it must see what was committed when the lock was there.
    perform from outbox o
    where o.drop_id = p_drop and o.kind = 'stock' and o.kind in ('stock', 'changed') and o.leased_until = '-infinity'
    limit 1;
    if found then return; end if;
  end if;
  insert into outbox (drop_id, kind) values (p_drop, 'stock');
end
$$;

-- Leases up to `p_limit` purchases and one folded event for each drop and kind of mark, for `p_lease_seconds`.
-- A drop gets at most one stockUpdate in `p_gap_ms`, but a flip between sold out and on sale goes at once (once a second).
-- events: [{"id", "kind", "dropId", "data"}, …]; next_in_ms: when to call again for what could not be leased now, null if
-- nothing waits.
create or replace function claim_events(
  p_limit integer, p_lease_seconds integer, p_gap_ms integer,
  out events jsonb, out next_in_ms integer
)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := clock();
  v_lease timestamptz := v_now + make_interval(secs => p_lease_seconds);
  -- Nothing was sent and no lease ends after these, unless the clock was set back (a server whose clock is behind took
  -- over). Such times lie ahead for as long as that: they hold nothing up.
  v_no_sending timestamptz := v_now + interval '1 second';
  v_no_lease timestamptz := v_lease + interval '1 second';
  v_gap interval := make_interval(secs => p_gap_ms / 1000.0);
  v_feed drop_feeds;
  v_event jsonb;
begin
  with picked as materialized (
    select o.id from outbox o
    where o.kind = 'purchase' and (o.leased_until <= v_now or o.leased_until > v_no_lease)
    order by o.id limit p_limit for update skip locked
  ), leased as (
    update outbox o set leased_until = v_lease from picked where o.id = picked.id
    returning o.id, o.drop_id, o.payload
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', l.id, 'kind', 'purchase', 'dropId', l.drop_id, 'data', l.payload)
                            order by l.id), '[]') into events from leased l;

  -- The feed's lock makes this the only one to fold for its drop; who comes second skips the drop.
  for v_feed in
    select f.* from drop_feeds f
    where f.drop_id in (select o.drop_id from outbox o
                        where o.kind in ('stock', 'changed') and (o.leased_until <= v_now or o.leased_until > v_no_lease))
    -- Who was served last comes last, so that any number of hot drops cannot keep the limit for themselves.
    order by f.stock_sent_at limit p_limit for no key update skip locked
  loop
    if v_feed.stock_sent_at > v_no_sending then v_feed.stock_sent_at := '-infinity'; end if;
    if v_feed.flip_sent_at > v_no_sending then v_feed.flip_sent_at := '-infinity'; end if;
    if v_feed.sampled_at > v_no_sending then v_feed.sampled_at := '-infinity'; end if;
    v_event := fold_changed(v_feed, v_now, v_lease);
    if v_event is not null then events := events || v_event; v_feed.version := v_feed.version + 1; end if;
    v_event := fold_stock(v_feed, v_now, v_lease, v_gap);
    if v_event is not null then events := events || v_event; end if;
  end loop;

  select case when exists (select from outbox o where o.kind = 'purchase' and o.leased_until = '-infinity') then 0 end
  into next_in_ms;
  if next_in_ms is null then
    -- A drop whose event is on its way can be looked at again after a gap: asking all the time until it is acked, or
    -- its lease is over, would cost more than the sale.
    select ceil(1000 * extract(epoch from min(greatest(
             least(f.stock_sent_at, v_now) + v_gap,
             v_now + case when w.leased then greatest(v_gap, interval '10 ms') else interval '10 ms' end)) - v_now))
    into next_in_ms
    from (
      select o.drop_id, bool_or(o.leased_until > v_now) as leased from outbox o
      where o.kind in ('stock', 'changed')
      group by o.drop_id having bool_or(o.leased_until = '-infinity')
    ) w join drop_feeds f on f.drop_id = w.drop_id;
  end if;
end
$$;

-- Folds the 'changed' marks of one drop, whose feed the caller has locked, into one leased dropChanged; null if there are
-- none or one is on its way.
create or replace function fold_changed(p_feed drop_feeds, p_now timestamptz, p_lease timestamptz) returns jsonb
language plpgsql
as $$
declare
  v_id bigint;
  v_status text;
begin
  v_id := replace_marks(p_feed.drop_id, 'changed', p_now, p_lease);
  if v_id is null then return null; end if;
  select g.status into v_status from get_drop(p_feed.drop_id) g;
  update drop_feeds f set version = p_feed.version + 1 where f.drop_id = p_feed.drop_id;
  return jsonb_build_object('id', v_id, 'kind', 'changed', 'dropId', p_feed.drop_id, 'data', jsonb_build_object(
    'dropId', p_feed.drop_id, 'status', v_status, 'version', p_feed.version + 1));
end
$$;

-- The same for 'stock' marks and stockUpdate, within the drop's message rate.
create or replace function fold_stock(
  p_feed drop_feeds, p_now timestamptz, p_lease timestamptz, p_gap interval
) returns jsonb
language plpgsql
as $$
declare
  v_id bigint;
  v_early boolean := p_feed.stock_sent_at > p_now - p_gap;
  v_available integer;
  v_stock_version bigint;
  v_total integer;
  v_sizes jsonb;
  v_flip boolean;
begin
  if v_early then
    if p_feed.flip_sent_at > p_now - interval '1 second' then return null; end if;
    select sum(s.available) into v_available from stock_stripes s where s.drop_id = p_feed.drop_id;
    if (v_available = 0) = (p_feed.stock_sent = 0) then return null; end if;
  end if;
  -- The marks go first and the stock is read after: what a deleted mark stood for is then in the stock.
  v_id := replace_marks(p_feed.drop_id, 'stock', p_now, p_lease);
  if v_id is null then return null; end if;
  select sum(a.available_stock), sum(a.changes), sum(a.total_stock),
         jsonb_agg(jsonb_build_object('size', a.size, 'availableStock', a.available_stock) order by a.position)
           filter (where a.size <> '')
  into v_available, v_stock_version, v_total, v_sizes
  from available_stock a where a.drop_id = p_feed.drop_id;
  v_flip := (v_available = 0) <> (p_feed.stock_sent = 0);
  update drop_feeds f
  set version = p_feed.version + 1, stock_sent = v_available, stock_sent_at = p_now,
      flip_sent_at = case when v_flip then p_now else f.flip_sent_at end,
      sampled_at = case when sample_stock(p_feed, v_total, v_available, p_now) then p_now else f.sampled_at end
  where f.drop_id = p_feed.drop_id;
  return jsonb_build_object('id', v_id, 'kind', 'stock', 'dropId', p_feed.drop_id, 'data', jsonb_strip_nulls(
    jsonb_build_object('dropId', p_feed.drop_id, 'availableStock', v_available, 'version', p_feed.version + 1,
                       'stockVersion', v_stock_version, 'sizes', v_sizes)));
end
$$;

-- Keeps what the stock was, for the shop's chart; whether it did. A second apart at first, later a 2000th of the drop's
-- age: a minute's sale keeps each of its seconds, and a drop that sells for a month has some 16,000 rows.
create or replace function sample_stock(
  p_feed drop_feeds, p_total integer, p_available integer, p_now timestamptz
) returns boolean
language plpgsql
as $$
begin
  if p_feed.sampled_at > p_now - interval '1 second' then return false; end if;
  insert into stock_samples (drop_id, sampled_at, total_stock, available_stock)
  select d.id, p_now, p_total, p_available from drops d
  where d.id = p_feed.drop_id and p_feed.sampled_at <= p_now - (p_now - d.drop_start_time) / 2000
  on conflict do nothing;
  return found;
end
$$;

-- Puts one leased row in place of a drop's marks of a kind and returns its id; null if there are none, or if one is leased:
-- two stockUpdates on their way at once could arrive in the wrong order, and a cache channel would keep the older.
create or replace function replace_marks(p_drop bigint, p_kind text, p_now timestamptz, p_lease timestamptz)
returns bigint
language plpgsql
as $$
declare
  v_id bigint;
  -- Nobody is about to commit a change for which they found a mark here, and until this commits, nobody relies on one.
  v_is_alone boolean := p_kind <> 'stock' or pg_try_advisory_xact_lock(-p_drop);
begin
  if exists (select from outbox o where o.drop_id = p_drop and o.kind = p_kind
               and o.leased_until <= p_lease + interval '1 second'
               and o.kind in ('stock', 'changed') and o.leased_until > p_now) then
    return null;
  end if;
  -- A new row, so that a late ack of an old lease cannot delete it. It keeps the age of the oldest mark.
  with folded as (
    delete from outbox o where o.drop_id = p_drop and o.kind = p_kind and o.kind in ('stock', 'changed')
    returning o.created_at
  )
  insert into outbox (drop_id, kind, created_at, leased_until)
  select p_drop, p_kind, min(f.created_at), p_lease from folded f having count(*) > 0
  returning id into v_id;
  -- Somebody's change may not be in the stock yet: a new mark, in the same transaction, stays for it.
  if v_id is not null and not v_is_alone then insert into outbox (drop_id, kind) values (p_drop, p_kind); end if;
  return v_id;
end
$$;

-- Rows that somebody else has locked are left: their lease had run out, and the new holder of it acks or folds them. Waiting
-- for them could deadlock with a claim that folds several drops.
create or replace function ack_events(p_ids bigint[]) returns void
language sql
set enable_seqscan = off
as $$
  delete from outbox o
  where o.id in (select i.id from outbox i where i.id = any (p_ids) for update skip locked)
$$;

-- Shortens leases whose holder knows that nothing of them is on its way.
create or replace function defer_events(p_ids bigint[], p_seconds double precision) returns void
language sql
set enable_seqscan = off
as $$
  update outbox o set leased_until = (select clock()) + make_interval(secs => p_seconds)
  where o.id in (select i.id from outbox i where i.id = any (p_ids) for update skip locked)
$$;

-- What /api/health tells.
create or replace function health(
  out events_waiting integer, out oldest_event_seconds double precision,
  out overdue_holds integer, out oldest_overdue_seconds double precision
)
language plpgsql stable
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := clock();
begin
  select count(*), coalesce(greatest(0, extract(epoch from v_now - min(o.created_at))), 0)
  into events_waiting, oldest_event_seconds from outbox o;
  select coalesce(sum(due.units), 0), coalesce(extract(epoch from v_now - min(n.due_at)), 0)
  into overdue_holds, oldest_overdue_seconds
  from next_deadlines() n cross join lateral (
    select count(*) as units from reservations r
    where r.closed_at is null and r.drop_id = n.drop_id and r.size = n.size and r.expires_at <= v_now
  ) due
  where n.due_at <= v_now;
end
$$;
