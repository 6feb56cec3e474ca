-- What the shop reads about its drops: search, figures, history, who holds and who bought. Conventions: functions.sql.
--
-- Nothing here takes a lock that a buyer waits for, and nothing costs more because a drop had many holds: ended holds are
-- counted where their unit returned (stock_stripes), sold units are what is neither on sale nor held. Live holds are
-- counted, as get_drop does. What is joined to a few rows is looked up for each: a plan that does not know how few they are
-- would read all users, or all reservations, instead.

-- Up to `p_limit` drops with ids below `p_before`, newest first, of a status (null: any) and with `p_text` in their name
-- or as their id (null: any). Goes through the drops by id until the page is full.
create or replace function search_drops(
  p_text text, p_status text, p_limit integer, p_before bigint,
  out details drop_details, out status text, out overdue boolean
)
returns setof record
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_now timestamptz := clock();
  -- The text is looked for as it is: its wildcards are none.
  v_pattern text := '%' || regexp_replace(p_text, '([\\%_])', '\\\1', 'g') || '%';
  v_id bigint := case when p_text ~ '^#?[0-9]{1,18}$' then ltrim(p_text, '#')::bigint end;
begin
  return query
  with page as materialized (
    select d.id from drops d
    where d.id < p_before
      and (p_text is null or d.id = v_id or d.name ilike v_pattern)
      -- The stock, which is dearer to read, only where it decides.
      and (p_status is null
           or drop_status(d.state, d.drop_start_time, d.drop_end_time, 1, v_now)
              = case p_status when 'SOLD_OUT' then 'LIVE' else p_status end)
      and (p_status is null or p_status not in ('LIVE', 'SOLD_OUT')
           or (p_status = 'LIVE') = exists (
             select from stock_stripes s where s.drop_id = d.id and s.available > 0))
    order by d.id desc limit p_limit
  )
  select v, drop_status(v.state, v.drop_start_time, v.drop_end_time, v.available_stock, v_now),
         coalesce(v.next_expiry_at <= v_now, false)
  from page join drop_details v on v.id = page.id
  order by page.id desc;
end
$$;

-- A drop's figures at one instant, or no row. total_stock = available + active + overdue + purchased.
-- overdue: holds past their deadline that nobody has expired yet. median_seconds: from hold to purchase, over the newest
-- 500 purchases. revenue: the prices paid; only after a change of price are they added up.
create or replace function drop_stats(
  p_drop bigint,
  out server_time timestamptz, out total_stock integer, out available integer, out active integer, out overdue integer,
  out purchased integer, out expired bigint, out released bigint, out revenue numeric, out currency text,
  out median_seconds double precision
)
returns setof record
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_price numeric;
  v_price_changed boolean;
begin
  server_time := clock();
  select d.total_stock, stock.available, held.active, held.overdue,
         d.total_stock - stock.available - held.active - held.overdue, stock.expired, stock.released,
         d.currency, d.price, d.price_changed
  into total_stock, available, active, overdue, purchased, expired, released, currency, v_price, v_price_changed
  from drops d
  cross join lateral (
    select sum(s.available)::integer as available, sum(s.expired)::bigint as expired, sum(s.released)::bigint as released
    from stock_stripes s where s.drop_id = d.id
  ) stock
  cross join lateral (
    select count(*) filter (where r.expires_at > server_time)::integer as active,
           count(*) filter (where r.expires_at <= server_time)::integer as overdue
    from reservations r where r.drop_id = d.id and r.status = 'ACTIVE'
  ) held
  where d.id = p_drop;
  if not found then return; end if;
  if v_price_changed then
    select coalesce(sum(p.price), 0) into revenue from purchases p where p.drop_id = p_drop;
  else
    revenue := purchased * v_price;
  end if;
  select percentile_cont(0.5) within group (order by extract(epoch from p.created_at - r.created_at))
  into median_seconds
  from (select i.reservation_id, i.created_at from purchases i
        where i.drop_id = p_drop order by i.id desc limit 500) p
  join reservations r on r.id = p.reservation_id;
  return next;
end
$$;

-- The stock over time, oldest first: a point where it was sampled and where a unit was bought; of these some `p_points`,
-- evenly chosen, and the last. `sold` is what is sold now less what was bought since, so it is known back to the newest
-- `p_purchases` purchases, and null before.
create or replace function stock_history(
  p_drop bigint, p_points integer, p_purchases integer,
  out at timestamptz, out total_stock integer, out available integer, out sold integer
)
returns setof record
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
  return query
  with bought as materialized (
    select p.created_at from purchases p where p.drop_id = p_drop order by p.id desc limit p_purchases
  ), known as (
    select (select g.purchased from drop_stats(p_drop) g) as sold_now,
           case when count(*) = p_purchases then min(b.created_at) else '-infinity' end as since
    from bought b
  ), moments as (
    select s.sampled_at as moment, s.total_stock as total, s.available_stock as free, 0 as units
    from stock_samples s where s.drop_id = p_drop
    union all
    select b.created_at, null, null, 1 from bought b
  ), counted as (
    -- Of a sample and a purchase at the same instant the sample comes first.
    select m.*, count(m.free) over (order by m.moment, m.units rows unbounded preceding) as sample,
           sum(m.units) over (order by m.moment desc, m.units desc rows unbounded preceding) - m.units as bought_since,
           row_number() over (order by m.moment, m.units) as n, count(*) over () as moments
    from moments m
  ), carried as (
    select c.*, max(c.total) over (partition by c.sample) as total_then, max(c.free) over (partition by c.sample) as free_then
    from counted c
  )
  select c.moment, c.total_then, c.free_then,
         case when c.moment >= k.since then (k.sold_now - c.bought_since)::integer end
  from carried c cross join known k
  where c.sample > 0 and (c.n = c.moments or c.n * p_points / c.moments <> (c.n - 1) * p_points / c.moments)
  order by c.moment, c.units;
end
$$;

-- Who holds a unit now, who must decide soonest first, after the reservation `p_after` (null: from the start).
create or replace function live_holds(
  p_drop bigint, p_limit integer, p_after bigint,
  out id bigint, out user_id bigint, out username text, out size text, out created_at timestamptz,
  out expires_at timestamptz
)
returns setof record
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_now timestamptz := clock();
  v_after timestamptz := (select r.expires_at from reservations r where r.id = p_after);
begin
  return query
  select h.id, h.user_id, u.username, h.size, h.created_at, h.expires_at
  from (
    select * from reservations r
    where r.drop_id = p_drop and r.status = 'ACTIVE' and r.expires_at > v_now
      and (p_after is null or (r.expires_at, r.id) > (v_after, p_after))
    order by r.expires_at, r.id limit p_limit
  ) h join users u on u.id = h.user_id
  order by h.expires_at, h.id;
end
$$;

-- Purchases of a drop with ids below `p_before`, newest first.
create or replace function newest_purchases(
  p_drop bigint, p_limit integer, p_before bigint,
  out id bigint, out reservation_id bigint, out user_id bigint, out username text, out size text, out price numeric,
  out currency text, out created_at timestamptz
)
returns setof record
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select b.id, b.reservation_id, b.user_id, u.username, b.size, b.price, b.currency, b.created_at
  from (select * from purchases p where p.drop_id = p_drop and p.id < p_before order by p.id desc limit p_limit) b
  join users u on u.id = b.user_id
  order by b.id desc;
end
$$;

-- The same from the other end, for the export: with ids above `p_after`, oldest first.
create or replace function oldest_purchases(
  p_drop bigint, p_limit integer, p_after bigint,
  out id bigint, out reservation_id bigint, out user_id bigint, out username text, out size text, out price numeric,
  out currency text, out created_at timestamptz
)
returns setof record
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select b.id, b.reservation_id, b.user_id, u.username, b.size, b.price, b.currency, b.created_at
  from (select * from purchases p where p.drop_id = p_drop and p.id > p_after order by p.id limit p_limit) b
  join users u on u.id = b.user_id
  order by b.id;
end
$$;

create or replace function drop_exists(p_drop bigint) returns boolean
language sql stable
as $$ select exists (select from drops d where d.id = p_drop) $$;
