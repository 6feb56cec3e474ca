-- The rules of stock: what a buyer can do with a hold, and what happens to a hold nobody closes.
-- Re-applied at every deploy. Each function is called as one autocommitted statement, through a transaction pooler.
--
-- Outcomes. What is expected to happen (sold out, too late, not yours) is returned in `outcome`, never raised: it
-- is no failure, and ten thousand of them must not fill the server's log. Values are 'ok', 'replayed' (an earlier
-- call already did this) or an error code of lib/errors.py; with an error code nothing was given or taken.
--
-- Locks. These rules make deadlock impossible:
--   1. Nobody waits for a stripe while holding a lock that others wait for with a stripe. Buyers and the sweep take
--      stripes with SKIP LOCKED; release, which holds nothing yet, may wait, and so may restock, in stripe order, which
--      has its key and its drop.
--   2. Stripes before reservations, and due holds are chosen only among stripes already locked, with SKIP LOCKED,
--      in the statement that locks them: a set chosen by one statement and locked by the next is another set.
--   3. purchase locks its reservation and never a stripe.
--   4. Deadlines are compared with clock() after the lock is there.
--
-- Plans. A fresh drop has no statistics and poolers keep plans for hours, so a whole drop can run on a plan made for
-- empty tables. The hot functions therefore forbid sequential and bitmap scans, and their queries leave one index
-- each: the buyer's own hold only one_live_hold_per_user; due holds only due_holds (the query repeats the index's
-- `expires_at < 'infinity'`, and `drop_id + 0` keeps the other index out). Comparisons use variables: a volatile
-- function in a condition cannot be an index condition. force_generic_plan: with one index to choose there is nothing to
-- plan anew, yet Postgres would plan the due look-up at every call (40 microseconds of a refusal's 145), because a
-- time known to be in the past looks cheaper to it. Functions that only other functions here call have no settings of
-- their own: they run under their caller's.

-- The one source of time. Tests replace it to move the clock.
create or replace function clock() returns timestamptz
language sql volatile
as $$ select clock_timestamp() $$;

-- Expires up to `p_limit` due holds of stripes that the caller has locked, and returns their units to them.
create or replace function expire_locked(p_stripes stock_stripes[], p_now timestamptz, p_limit integer)
returns integer
language plpgsql
as $$
declare
  v_expired integer;
begin
  with due as materialized (
    select r.id
    from reservations r
    where r.status = 'ACTIVE' and r.expires_at < 'infinity' and r.expires_at <= p_now
      and (r.drop_id + 0, r.size, r.stripe) in (select s.drop_id, s.size, s.stripe from unnest(p_stripes) s)
    order by r.expires_at
    limit p_limit
    for no key update of r skip locked
  ), closed as (
    update reservations r set status = 'EXPIRED', closed_at = p_now
    from due where r.id = due.id
    returning r.drop_id, r.size, r.stripe
  ), tally as (
    select c.drop_id, c.size, c.stripe, count(*)::integer as units
    from closed c group by c.drop_id, c.size, c.stripe
  ), returned as (
    update stock_stripes s set available = s.available + t.units, expired = s.expired + t.units
    from tally t where s.drop_id = t.drop_id and s.size = t.size and s.stripe = t.stripe
  ), marked as (
    insert into outbox (drop_id, kind) select distinct t.drop_id, 'stock' from tally t
  )
  select coalesce(sum(t.units), 0) into v_expired from tally t;
  return v_expired;
end
$$;

-- Holds one unit of a size for hold_seconds. `hold` is set for 'ok' and 'replayed', `starts_at` for drop_not_started.
create or replace function reserve(
  p_drop bigint, p_user bigint, p_size text,
  out outcome text, out hold reservations, out server_time timestamptz, out starts_at timestamptz
)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '2s'
as $$
declare
  v_asked record;
  v_stripe integer;
begin
  server_time := clock();
  select d.drop_start_time, d.hold_seconds, d.max_per_user, refusal(d, server_time) as refusal,
         z.size, z.stripes, u.id as user_id
  into v_asked
  from drops d
  left join drop_sizes z on z.drop_id = d.id and z.size = coalesce(p_size, '')
  left join users u on u.id = p_user
  where d.id = p_drop;
  if not found then outcome := 'drop_not_found'; return; end if;

  select * into hold from reservations r
  where r.drop_id = p_drop and r.user_id = p_user and r.status = 'ACTIVE';
  if hold.expires_at > server_time then
    outcome := 'replayed';
    -- A hold in a cancelled drop cannot be bought any more.
    if v_asked.refusal = 'drop_cancelled' then outcome := v_asked.refusal; hold := null; end if;
    return;
  end if;
  if hold.id is not null then
    -- The buyer's own hold is overdue: end it, or it would stand in the way of a new one.
    outcome := expire_own(hold, server_time);
    hold := null;
    if outcome is not null then return; end if;
  end if;

  outcome := case
    when v_asked.refusal is not null then v_asked.refusal
    when v_asked.size is null and p_size is null then 'size_required'
    when v_asked.size is null then 'unknown_size'
    when v_asked.user_id is null then 'user_not_found'
    when over_limit(v_asked.max_per_user, p_drop, p_user) then 'limit_reached'
  end;
  if outcome is not null then starts_at := v_asked.drop_start_time; return; end if;

  v_stripe := lock_stripe_with_stock(p_drop, v_asked.size, v_asked.stripes, server_time);
  if v_stripe is null then outcome := 'sold_out'; return; end if;
  if v_stripe < 0 then outcome := 'busy'; return; end if;

  insert into reservations (user_id, drop_id, size, stripe, expires_at, created_at)
  values (p_user, p_drop, v_asked.size, v_stripe,
          server_time + make_interval(secs => v_asked.hold_seconds), server_time)
  on conflict (drop_id, user_id) where status = 'ACTIVE' do nothing
  returning * into hold;
  if not found then
    -- Another call of the same buyer came first; no unit was taken here.
    select * into hold from reservations r
    where r.drop_id = p_drop and r.user_id = p_user and r.status = 'ACTIVE';
    outcome := case when hold.expires_at > server_time then 'replayed' else 'busy' end;
    return;
  end if;
  -- Again, now that no other call can make a purchase for this buyer: between the first look and the insert a whole
  -- hold and purchase of theirs may have passed.
  if over_limit(v_asked.max_per_user, p_drop, p_user) then
    delete from reservations r where r.id = hold.id;
    hold := null;
    outcome := 'limit_reached';
    return;
  end if;

  update stock_stripes s set available = s.available - 1
  where s.drop_id = p_drop and s.size = v_asked.size and s.stripe = v_stripe;
  insert into outbox (drop_id, kind) values (p_drop, 'stock');
  outcome := 'ok';
end
$$;

-- Ends one overdue hold of the buyer who asks for a new one. Returns 'busy' if its stripe is locked, else null.
create or replace function expire_own(p_hold reservations, p_now timestamptz) returns text
language plpgsql
as $$
begin
  perform from stock_stripes s
  where s.drop_id = p_hold.drop_id and s.size = p_hold.size and s.stripe = p_hold.stripe
  for no key update skip locked;
  if not found then return 'busy'; end if;
  -- May wait for a purchase that locked the hold in time; that purchase waits for nothing.
  update reservations r set status = 'EXPIRED', closed_at = p_now where r.id = p_hold.id and r.status = 'ACTIVE';
  if found then
    update stock_stripes s set available = s.available + 1, expired = s.expired + 1
    where s.drop_id = p_hold.drop_id and s.size = p_hold.size and s.stripe = p_hold.stripe;
    insert into outbox (drop_id, kind) values (p_hold.drop_id, 'stock');
  end if;
  return null;
end
$$;

-- Why nobody can reserve in this drop now, or null.
create or replace function refusal(p_drop drops, p_now timestamptz) returns text
language sql immutable
as $$
  select case
    when p_drop.state = 'CANCELLED' then 'drop_cancelled'
    when p_drop.drop_end_time <= p_now then 'drop_ended'
    when p_drop.state = 'PAUSED' then 'drop_paused'
    when p_drop.drop_start_time > p_now then 'drop_not_started'
  end
$$;

-- Whether one more unit would exceed the buyer's limit. A live hold counts through one_live_hold_per_user.
create or replace function over_limit(p_max integer, p_drop bigint, p_user bigint) returns boolean
language plpgsql
as $$
begin
  if p_max is null then return false; end if;
  return p_max <= (select count(*) from purchases p where p.user_id = p_user and p.drop_id = p_drop);
end
$$;

-- Locks one stripe with a unit to sell: any with stock, from a random one on; else one whose due holds give a unit back.
-- Returns the stripe; -1 if there are units but others have them locked at this instant; null if there are none.
create or replace function lock_stripe_with_stock(p_drop bigint, p_size text, p_stripes integer, p_now timestamptz)
returns integer
language plpgsql
as $$
declare
  v_start integer := floor(random() * p_stripes);
  v_stripe stock_stripes;
  v_due smallint[];
  v_has_stock boolean;
begin
  select * into v_stripe from stock_stripes s
  where s.drop_id = p_drop and s.size = p_size and s.stripe >= v_start and s.available > 0
  order by s.stripe limit 1 for no key update skip locked;
  if found then return v_stripe.stripe; end if;
  select * into v_stripe from stock_stripes s
  where s.drop_id = p_drop and s.size = p_size and s.stripe < v_start and s.available > 0
  order by s.stripe limit 1 for no key update skip locked;
  if found then return v_stripe.stripe; end if;

  -- The stripes of the 64 oldest due holds of this size; there are none while a sweep runs.
  select array(
    select r.stripe from reservations r
    where r.status = 'ACTIVE' and r.expires_at < 'infinity' and r.expires_at <= p_now
      and r.drop_id + 0 = p_drop and r.size = p_size
    order by r.expires_at limit 64
  ), exists (
    select from stock_stripes s where s.drop_id = p_drop and s.size = p_size and s.available > 0
  ) into v_due, v_has_stock;
  if v_due = '{}' then return case when v_has_stock then -1 end; end if;
  select * into v_stripe from stock_stripes s
  where s.drop_id = p_drop and s.size = p_size and s.stripe = any (v_due)
  limit 1 for no key update skip locked;
  if found and expire_locked(array[v_stripe], p_now, 100) > 0 then return v_stripe.stripe; end if;
  return -1;
end
$$;

-- Turns a hold into a purchase. `bought` is set for 'ok' and 'replayed'.
create or replace function purchase(
  p_reservation bigint, p_user bigint,
  out outcome text, out bought purchases
)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '2s'
as $$
declare
  v_hold reservations;
  v_drop drops;
  v_now timestamptz;
begin
  select * into v_hold from reservations r where r.id = p_reservation for no key update;
  if not found then outcome := 'reservation_not_found'; return; end if;
  v_now := clock();
  outcome := case
    when v_hold.user_id <> p_user then 'not_owner'
    when v_hold.status = 'RELEASED' then 'reservation_closed'
    when v_hold.status = 'EXPIRED' then 'reservation_expired'
    when v_hold.status = 'PURCHASED' then 'replayed'
    when v_hold.expires_at <= v_now then 'reservation_expired'
  end;
  if outcome = 'replayed' then select * into bought from purchases p where p.reservation_id = p_reservation; end if;
  if outcome is not null then return; end if;
  select * into v_drop from drops d where d.id = v_hold.drop_id;
  if v_drop.state = 'CANCELLED' then outcome := 'drop_cancelled'; return; end if;

  update reservations r set status = 'PURCHASED', closed_at = v_now where r.id = p_reservation;
  insert into purchases (reservation_id, user_id, drop_id, size, price, currency, created_at, drop_snapshot)
  values (p_reservation, p_user, v_hold.drop_id, v_hold.size, v_drop.price, v_drop.currency, v_now,
          drop_snapshot(v_drop))
  returning * into bought;
  insert into outbox (drop_id, kind, payload)
  select v_hold.drop_id, 'purchase', jsonb_build_object(
    'dropId', v_hold.drop_id, 'userId', p_user, 'username', u.username,
    'timestamp', utc_text(v_now), 'purchaseId', bought.id)
  from users u where u.id = p_user;
  outcome := 'ok';
end
$$;

-- The drop as a purchase's answer tells it.
create or replace function drop_snapshot(p_drop drops) returns jsonb
language plpgsql
as $$
begin
  return jsonb_build_object(
    'id', p_drop.id, 'name', p_drop.name, 'imageUrl', p_drop.image_url, 'price', p_drop.price,
    'currency', p_drop.currency, 'totalStock', p_drop.total_stock,
    'availableStock', (select sum(s.available) from stock_stripes s where s.drop_id = p_drop.id),
    'dropStartTime', utc_text(p_drop.drop_start_time),
    'version', (select f.version from drop_feeds f where f.drop_id = p_drop.id));
end
$$;

-- Gives a unit back before the deadline. `hold` is the reservation as it is now, for 'ok' and 'replayed'.
create or replace function release(
  p_reservation bigint, p_user bigint,
  out outcome text, out hold reservations
)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '2s'
as $$
declare
  v_now timestamptz;
begin
  select * into hold from reservations r where r.id = p_reservation;
  if not found then outcome := 'reservation_not_found'; return; end if;
  if hold.user_id <> p_user then outcome := 'not_owner'; hold := null; return; end if;
  -- The stripe may be waited for: nothing else is held yet. A reservation never moves to another stripe.
  perform from stock_stripes s
  where s.drop_id = hold.drop_id and s.size = hold.size and s.stripe = hold.stripe
  for no key update;
  select * into hold from reservations r where r.id = p_reservation for no key update;
  v_now := clock();
  outcome := case
    when hold.status = 'RELEASED' then 'replayed'
    when hold.status = 'PURCHASED' then 'reservation_closed'
    when hold.status = 'EXPIRED' or hold.expires_at <= v_now then 'reservation_expired'
  end;
  if outcome is not null then return; end if;

  update reservations r set status = 'RELEASED', closed_at = v_now where r.id = p_reservation returning * into hold;
  update stock_stripes s set available = s.available + 1, released = s.released + 1
  where s.drop_id = hold.drop_id and s.size = hold.size and s.stripe = hold.stripe;
  insert into outbox (drop_id, kind) values (hold.drop_id, 'stock');
  outcome := 'ok';
end
$$;

-- Expires up to `p_limit` due holds of any drop. Stripes that buyers have locked are left for the next call.
create or replace function expire_due(
  p_limit integer,
  out expired integer, out next_due_at timestamptz, out server_time timestamptz
)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_stripes stock_stripes[];
begin
  server_time := clock();
  with due as materialized (
    select r.drop_id, r.size, r.stripe from reservations r
    where r.status = 'ACTIVE' and r.expires_at < 'infinity' and r.expires_at <= server_time
    order by r.expires_at limit p_limit
  ), locked as materialized (
    select s from stock_stripes s
    where (s.drop_id, s.size, s.stripe) in (select d.drop_id, d.size, d.stripe from due d)
    for no key update of s skip locked
  )
  select array_agg(l.s) into v_stripes from locked l;
  expired := case when v_stripes is null then 0 else expire_locked(v_stripes, server_time, p_limit) end;
  select r.expires_at into next_due_at from reservations r
  where r.status = 'ACTIVE' and r.expires_at < 'infinity'
  order by r.expires_at limit 1;
end
$$;
