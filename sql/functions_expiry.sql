-- What happens to holds past their deadline: taken back by who needs a unit, or by the sweep. Conventions: functions.sql.

-- Expires up to `p_limit` due holds of stripes of one size that the caller has locked, and returns their units to them.
create or replace function expire_locked(
  p_drop bigint, p_size text, p_stripes smallint[], p_now timestamptz, p_limit integer
)
returns integer
language plpgsql
as $$
declare
  v_expired integer;
begin
  with due as materialized (
    select r.id
    from reservations r
    where r.closed_at is null and r.drop_id = p_drop and r.size = p_size and r.expires_at <= p_now
      and r.stripe = any (p_stripes)
    order by r.expires_at
    limit p_limit
    for no key update of r skip locked
  ), closed as (
    update reservations r set status = 'EXPIRED', closed_at = p_now
    from due where r.id = due.id
    returning r.stripe
  ), tally as (
    select c.stripe, count(*)::integer as units from closed c group by c.stripe
  ), returned as (
    update stock_stripes s set available = s.available + t.units, changes = s.changes + 1, expired = s.expired + t.units
    from tally t where s.drop_id = p_drop and s.size = p_size and s.stripe = t.stripe
  )
  select coalesce(sum(t.units), 0) into v_expired from tally t;
  if v_expired > 0 then perform mark_stock(p_drop); end if;
  return v_expired;
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
    update stock_stripes s set available = s.available + 1, changes = s.changes + 1, expired = s.expired + 1
    where s.drop_id = p_hold.drop_id and s.size = p_hold.size and s.stripe = p_hold.stripe;
    perform mark_stock(p_hold.drop_id);
  end if;
  return null;
end
$$;

-- Sizes with live holds, and the nearest deadline of each: one step in live_holds a size, however many holds it has.
create or replace function next_deadlines(out drop_id bigint, out size text, out due_at timestamptz)
returns setof record
language plpgsql
as $$
begin
  loop
    select r.drop_id, r.size, r.expires_at into drop_id, size, due_at from reservations r
    where r.closed_at is null and (r.drop_id, r.size) > (coalesce(next_deadlines.drop_id, 0), coalesce(next_deadlines.size, ''))
    order by r.drop_id, r.size, r.expires_at limit 1;
    exit when not found;
    return next;
  end loop;
end
$$;

-- Expires up to `p_limit` due holds of any drop. Stripes that buyers have locked are left for the next call. next_due_at: the
-- nearest deadline of a live hold; now, if the limit was reached, because more may be due, and looking costs a step a size.
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
  v_next record;
begin
  server_time := clock();
  expired := 0;
  for v_next in select * from next_deadlines() n where n.due_at <= server_time order by n.due_at loop
    expired := expired + expire_size(v_next.drop_id, v_next.size, server_time, p_limit - expired);
    exit when expired >= p_limit;
  end loop;
  if expired >= p_limit then next_due_at := server_time; return; end if;
  select min(n.due_at) into next_due_at from next_deadlines() n;
end
$$;

-- Expires up to `p_limit` due holds of one size, of the stripes that are free.
create or replace function expire_size(p_drop bigint, p_size text, p_now timestamptz, p_limit integer) returns integer
language plpgsql
as $$
declare
  v_stripes smallint[];
begin
  with due as materialized (
    select r.stripe from reservations r
    where r.closed_at is null and r.drop_id = p_drop and r.size = p_size and r.expires_at <= p_now
    order by r.expires_at limit p_limit
  ), locked as materialized (
    select s.stripe from stock_stripes s
    where s.drop_id = p_drop and s.size = p_size and s.stripe in (select d.stripe from due d)
    for no key update of s skip locked
  )
  select array_agg(l.stripe) into v_stripes from locked l;
  if v_stripes is null then return 0; end if;
  return expire_locked(p_drop, p_size, v_stripes, p_now, p_limit);
end
$$;
