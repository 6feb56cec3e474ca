-- The rules of stock: how a unit is held. functions_holds.sql has what a buyer does with a hold, functions_expiry.sql what
-- happens to one that nobody closes; what is said here holds for them, and for all functions_*.sql.
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
-- Versions. Every change of `available` also counts `changes` up (0003_stock_changes.sql says what for).
--
-- Plans. A fresh drop has no statistics and poolers keep plans for hours, so a whole drop can run on a plan made for
-- empty tables. The hot functions therefore forbid sequential and bitmap scans, and their queries leave one index
-- each: the buyer's own hold only one_live_hold_per_user (it says status = 'ACTIVE'); due holds only live_holds (it says
-- closed_at is null, which means the same but implies nothing to the planner). Comparisons use variables: a volatile
-- function in a condition cannot be an index condition. force_generic_plan: with one index to choose there is nothing to
-- plan anew, yet Postgres would plan the due look-up at every call, because a time known to be in the past looks cheaper
-- to it. Functions that only other functions here call have no settings of their own: they run under their caller's.
--
-- Cost. Nine tenths of what a reserve costs is Postgres starting and ending statements, not reading rows. In instructions
-- (tests/bench/instructions.py): a call 110,000, a look-up of one row 20,000 to 30,000, each table joined to it 30,000 more, 64 index entries of one
-- drop 60,000, a foreign key 60,000. Hence: short statements without joins, one row of stock tried before many are read.

-- The one source of time. Tests replace it to move the clock.
create or replace function clock() returns timestamptz
language sql volatile
as $$ select clock_timestamp() $$;

-- Holds one unit of a size for hold_seconds. `hold` is set for 'ok' and 'replayed', `starts_at` for drop_not_started,
-- `allowed_at` for rate_limited: the buyer has begun p_rate_limit holds in this drop within p_rate_seconds. Only who would
-- get a unit is counted, so neither a replay nor a sold-out answer reads or costs more. Null: no limit.
create or replace function reserve(
  p_drop bigint, p_user bigint, p_size text, p_rate_limit integer default null, p_rate_seconds integer default null,
  out outcome text, out hold reservations, out server_time timestamptz, out starts_at timestamptz, out allowed_at timestamptz
)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '2s'
as $$
declare
  v_drop record;
  v_size text := coalesce(p_size, '');
  v_stripes integer;
  v_stripe integer;
  v_row tid;
  v_marked text;
begin
  server_time := clock();
  select d.drop_start_time, d.hold_seconds, d.max_per_user, refusal(d, server_time) as refusal into v_drop
  from drops d where d.id = p_drop;
  if not found then outcome := 'drop_not_found'; return; end if;

  select * into hold from reservations r
  where r.drop_id = p_drop and r.user_id = p_user and r.status = 'ACTIVE';
  if hold.expires_at > server_time then
    outcome := 'replayed';
    -- A hold in a cancelled drop cannot be bought any more.
    if v_drop.refusal = 'drop_cancelled' then outcome := v_drop.refusal; hold := null; end if;
    return;
  end if;
  if hold.id is not null then
    -- The buyer's own hold is overdue: end it, or it would stand in the way of a new one.
    outcome := expire_own(hold, server_time);
    hold := null;
    if outcome is not null then return; end if;
  end if;

  select z.stripes into v_stripes from drop_sizes z where z.drop_id = p_drop and z.size = v_size;
  outcome := case
    when v_drop.refusal is not null then v_drop.refusal
    when v_stripes is null and p_size is null then 'size_required'
    when v_stripes is null then 'unknown_size'
  end;
  if outcome is null and v_drop.max_per_user is not null then
    if over_limit(v_drop.max_per_user, p_drop, p_user) then outcome := 'limit_reached'; end if;
  end if;
  if outcome is not null then starts_at := v_drop.drop_start_time; return; end if;

  -- Four stripes from a random one on: while there is stock, one of them has it and is free. The rate limit is a condition
  -- of its own here: looked at for the first stripe with stock, before that is locked, and not at all if there is none.
  v_stripe := floor(random() * v_stripes);
  select s.stripe, s.ctid into v_stripe, v_row from stock_stripes s
  where s.drop_id = p_drop and s.size = v_size and s.stripe between v_stripe and v_stripe + 3 and s.available > 0
    and (p_rate_limit is null
         or attempt_allowed_at(s.drop_id, p_user, p_rate_limit, p_rate_seconds, server_time) <= server_time)
  order by s.stripe limit 1 for no key update skip locked;
  if not found then
    v_stripe := lock_any_stripe(p_drop, v_size, server_time, p_user, p_rate_limit, p_rate_seconds);
    if v_stripe is null then
      -- Or the last unit went to another call of the same buyer since the first look.
      select * into hold from reservations r
      where r.drop_id = p_drop and r.user_id = p_user and r.status = 'ACTIVE';
      outcome := case when hold.expires_at > server_time then 'replayed' else 'sold_out' end;
      if outcome = 'sold_out' then hold := null; end if;
      return;
    end if;
    if v_stripe = -2 then
      outcome := 'rate_limited';
      allowed_at := attempt_allowed_at(p_drop, p_user, p_rate_limit, p_rate_seconds, server_time);
      return;
    end if;
    if v_stripe < 0 then outcome := 'busy'; return; end if;
    select s.ctid into v_row from stock_stripes s
    where s.drop_id = p_drop and s.size = v_size and s.stripe = v_stripe;
  end if;

  -- Not before this, for the sake of the many who come to a sold-out drop.
  perform from users u where u.id = p_user;
  if not found then outcome := 'user_not_found'; return; end if;
  insert into reservations (user_id, drop_id, size, stripe, expires_at, created_at)
  values (p_user, p_drop, v_size, v_stripe, server_time + make_interval(secs => v_drop.hold_seconds), server_time)
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
  if v_drop.max_per_user is not null then
    if over_limit(v_drop.max_per_user, p_drop, p_user) then
      delete from reservations r where r.id = hold.id;
      hold := null;
      outcome := 'limit_reached';
      return;
    end if;
  end if;

  -- By its place in the table, which cannot change while it is locked.
  update stock_stripes s set available = s.available - 1, changes = s.changes + 1 where s.ctid = v_row;
  if not found then raise exception 'stripe % of drop % is not where it was locked', v_stripe, p_drop; end if;
  -- An expression costs a third less than a statement of its own, which `perform` would be.
  v_marked := mark_stock(p_drop);
  outcome := 'ok';
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

-- Whether the buyer has as many units of the drop as `p_max` allows, not counting a live hold, which
-- one_live_hold_per_user counts.
create or replace function over_limit(p_max integer, p_drop bigint, p_user bigint) returns boolean
language plpgsql
as $$
begin
  return p_max <= (select count(*) from purchases p where p.user_id = p_user and p.drop_id = p_drop);
end
$$;

-- When the buyer may begin another hold in this drop: when the last but p_limit of those they began is p_seconds old. A
-- live hold is not among them: it is the answer to who has one. Calls of one buyer at once may all be allowed by the same
-- count, but only one of them gets a hold; so a limit is exceeded, if ever, by what was under way at that instant.
create or replace function attempt_allowed_at(
  p_drop bigint, p_user bigint, p_limit integer, p_seconds integer, p_now timestamptz
) returns timestamptz
language plpgsql stable
as $$
declare
  v_began_at timestamptz;
begin
  -- Nearly everybody has none, and the plainest look-up says so. (It ends with the first row, as `perform` would not.)
  select r.created_at into v_began_at from reservations r
  where r.drop_id = p_drop and r.user_id = p_user and r.closed_at is not null;
  if not found then return p_now; end if;
  select r.created_at into v_began_at from reservations r
  where r.drop_id = p_drop and r.user_id = p_user and r.closed_at is not null
  order by r.created_at desc offset p_limit - 1 limit 1;
  return case when found then v_began_at + make_interval(secs => p_seconds) else p_now end;
end
$$;

-- Locks one stripe of a size with a unit to sell: any that has one; else one whose due holds give units back. Returns
-- the stripe; -1 if there are units but others have them locked at this instant; -2 if there are units, but not yet for
-- this buyer; null if there are none.
create or replace function lock_any_stripe(
  p_drop bigint, p_size text, p_now timestamptz, p_user bigint, p_rate_limit integer, p_rate_seconds integer
) returns integer
language plpgsql
as $$
declare
  v_has_stock boolean;
  v_due smallint[];
  v_stripe smallint;
begin
  -- Nearly all who come here come to a sold-out drop, and looking takes no lock. One statement, and so one moment: between
  -- two a sweep may move a unit from the due holds, not looked at yet, to the stock, looked at already. There are no due
  -- holds while a sweep runs; of others the 64 oldest are enough.
  select exists (select from stock_stripes s where s.drop_id = p_drop and s.size = p_size and s.available > 0),
         array(
           select r.stripe from reservations r
           where r.closed_at is null and r.drop_id = p_drop and r.size = p_size and r.expires_at <= p_now
           order by r.expires_at limit 64)
  into v_has_stock, v_due;
  if p_rate_limit is not null and (v_has_stock or v_due <> '{}')
     and attempt_allowed_at(p_drop, p_user, p_rate_limit, p_rate_seconds, p_now) > p_now then
    return -2;
  end if;
  if v_has_stock then
    select s.stripe into v_stripe from stock_stripes s
    where s.drop_id = p_drop and s.size = p_size and s.available > 0
    order by s.stripe limit 1 for no key update skip locked;
    if found then return v_stripe; end if;
  end if;
  if v_due = '{}' then return case when v_has_stock then -1 end; end if;
  select s.stripe into v_stripe from stock_stripes s
  where s.drop_id = p_drop and s.size = p_size and s.stripe = any (v_due)
  limit 1 for no key update skip locked;
  if found and expire_locked(p_drop, p_size, array[v_stripe], p_now, 100) > 0 then return v_stripe; end if;
  return -1;
end
$$;
