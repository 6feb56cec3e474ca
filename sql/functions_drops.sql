-- What the shop does (create, change, restock) and what everybody reads. Conventions: functions.sql.

-- An instant as the API writes it: ISO 8601, UTC, microseconds.
create or replace function utc_text(p_time timestamptz) returns text
language sql stable
as $$ select to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

-- A drop as viewers see it. Sold units are what is neither on sale nor held: counting purchases would make every
-- read slower as the drop sells. It does not use available_stock: replacing both views at a deploy, while readers hold
-- them in the other order, could deadlock.
create or replace view drop_details as
select
  d.id, d.name, d.image_url, d.price, d.currency, d.total_stock,
  stock.available_stock, d.total_stock - stock.available_stock - held.units as sold_count,
  d.state, d.drop_start_time, nullif(d.drop_end_time, 'infinity') as drop_end_time,
  d.hold_seconds, d.max_per_user, stock.sizes, f.version, held.next_expiry_at, recent.purchases as recent_purchases,
  stock.stock_version
from drops d
join drop_feeds f on f.drop_id = d.id
cross join lateral (
  select sum(a.available_stock)::integer as available_stock, sum(a.changes)::bigint as stock_version,
         jsonb_agg(jsonb_build_object('size', a.size, 'totalStock', a.total_stock,
                                      'availableStock', a.available_stock) order by a.position) as sizes
  from (
    select z.size, z.position, z.total_stock, sum(s.available) as available_stock, sum(s.changes) as changes
    from drop_sizes z join stock_stripes s on s.drop_id = z.drop_id and s.size = z.size
    where z.drop_id = d.id
    group by z.size, z.position, z.total_stock
  ) a
) stock
cross join lateral (
  select count(*)::integer as units, min(r.expires_at) as next_expiry_at
  from reservations r where r.drop_id = d.id and r.status = 'ACTIVE'
) held
cross join lateral (
  select coalesce(jsonb_agg(jsonb_build_object('userId', p.user_id, 'username', u.username,
                                               'timestamp', utc_text(p.created_at)) order by p.id desc), '[]') as purchases
  -- A range of one drop, not `=`: then only purchases_by_drop has this order. Else the planner may believe that the newest
  -- purchases of all drops soon have three of this one, and read through another drop's whole sale.
  from (
    select * from purchases p where p.drop_id between d.id and d.id order by p.drop_id, p.id desc limit 3
  ) p
  join users u on u.id = p.user_id
) recent;

-- Units on sale, a row a size. Overdue holds that nobody has expired yet are not in it.
create or replace view available_stock as
select s.drop_id, s.size, z.position, z.total_stock, sum(s.available)::integer as available_stock,
       sum(s.changes) as changes
from stock_stripes s join drop_sizes z on z.drop_id = s.drop_id and z.size = s.size
group by s.drop_id, s.size, z.position, z.total_stock;

create or replace function drop_status(
  p_state text, p_start timestamptz, p_end timestamptz, p_available integer, p_now timestamptz
) returns text
language sql immutable
as $$
  select case
    when p_state = 'CANCELLED' then 'CANCELLED'
    when p_end <= p_now then 'ENDED'
    when p_state = 'PAUSED' then 'PAUSED'
    when p_start > p_now then 'UPCOMING'
    when p_available = 0 then 'SOLD_OUT'
    else 'LIVE'
  end
$$;

-- One drop, or no row. `overdue`: a hold is past its deadline and not expired yet.
create or replace function get_drop(p_drop bigint, out details drop_details, out status text, out overdue boolean)
returns setof record
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := clock();
begin
  return query
  select v, drop_status(v.state, v.drop_start_time, v.drop_end_time, v.available_stock, v_now),
         coalesce(v.next_expiry_at <= v_now, false)
  from drop_details v where v.id = p_drop;
end
$$;

-- Up to `p_limit` drops with ids below `p_before`, newest first. p_phase: live (sold-out and paused ones too), upcoming,
-- ended (cancelled ones too), all.
create or replace function list_drops(
  p_phase text, p_limit integer, p_before bigint,
  out details drop_details, out status text, out overdue boolean
)
returns setof record
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := clock();
begin
  return query
  with page as materialized (
    select d.id from drops d
    where d.id < p_before and case p_phase
      when 'live' then d.state <> 'CANCELLED' and d.drop_start_time <= v_now and d.drop_end_time > v_now
      when 'upcoming' then d.state <> 'CANCELLED' and d.drop_start_time > v_now
      when 'ended' then d.state = 'CANCELLED' or d.drop_end_time <= v_now
      else true end
    order by d.id desc limit p_limit
  )
  select v, drop_status(v.state, v.drop_start_time, v.drop_end_time, v.available_stock, v_now),
         coalesce(v.next_expiry_at <= v_now, false)
  from page join drop_details v on v.id = page.id
  order by page.id desc;
end
$$;

create or replace function stripes_for(p_stock integer) returns integer
language sql immutable
as $$ select least(64, greatest(1, p_stock / 4)) $$;

-- p_sizes: [{"size": text, "stock": integer}, …], at least one. p_start null: the drop starts now.
create or replace function create_drop(
  p_name text, p_price numeric, p_currency text, p_image_url text, p_start timestamptz, p_end timestamptz,
  p_hold_seconds integer, p_max_per_user integer, p_sizes jsonb, p_key text, p_hash text,
  out outcome text, out drop_id bigint
)
language plpgsql
as $$
declare
  v_start timestamptz := coalesce(p_start, clock());
  v_total integer;
begin
  select k.outcome, k.result_id into outcome, drop_id
  from claim_key('create_drop', p_key, p_hash, nextval(pg_get_serial_sequence('drops', 'id'))) k;
  if outcome is not null then return; end if;
  -- After the key: a drop that starts now may have ended when its request is repeated.
  if p_end <= v_start then
    delete from idempotency_keys k where k.operation = 'create_drop' and k.key = p_key;
    outcome := 'validation_failed';
    return;
  end if;

  select sum((z ->> 'stock')::integer) into v_total from jsonb_array_elements(p_sizes) z;
  insert into drops (id, name, image_url, price, currency, total_stock, drop_start_time, drop_end_time,
                     hold_seconds, max_per_user, highest_max_per_user)
  values (create_drop.drop_id, p_name, p_image_url, p_price, p_currency, v_total, v_start,
          coalesce(p_end, 'infinity'), p_hold_seconds, p_max_per_user, p_max_per_user);
  insert into drop_sizes (drop_id, size, position, total_stock, stripes)
  select create_drop.drop_id, z.value ->> 'size', z.ordinality, (z.value ->> 'stock')::integer,
         stripes_for((z.value ->> 'stock')::integer)
  from jsonb_array_elements(p_sizes) with ordinality z;
  -- The remainder of an uneven split goes to the first stripes, a unit each.
  insert into stock_stripes (drop_id, size, stripe, available)
  select z.drop_id, z.size, n, z.total_stock / z.stripes + (n < z.total_stock % z.stripes)::integer
  from drop_sizes z cross join lateral generate_series(0, z.stripes - 1) n
  where z.drop_id = create_drop.drop_id;
  insert into drop_feeds (drop_id, stock_sent) values (create_drop.drop_id, v_total);
  insert into stock_samples (drop_id, sampled_at, total_stock, available_stock)
  values (create_drop.drop_id, clock(), v_total, v_total);
  insert into outbox (drop_id, kind) values (create_drop.drop_id, 'changed');
  outcome := 'ok';
end
$$;

-- Sets the columns that `p_changes` names (keys as in the table; null clears). A cancelled drop stays cancelled.
create or replace function update_drop(p_drop bigint, p_changes jsonb) returns text
language plpgsql
set lock_timeout = '2s'
as $$
declare
  v_drop drops;
begin
  select * into v_drop from drops d where d.id = p_drop for no key update;
  if not found then return 'drop_not_found'; end if;
  if v_drop.state = 'CANCELLED' and p_changes ->> 'state' <> 'CANCELLED' then return 'drop_cancelled'; end if;
  if p_changes ? 'drop_end_time' and p_changes ->> 'drop_end_time' is null then
    p_changes := p_changes || '{"drop_end_time": "infinity"}';
  end if;
  v_drop := jsonb_populate_record(v_drop, p_changes);
  if v_drop.drop_end_time <= v_drop.drop_start_time then return 'validation_failed'; end if;
  update drops d set
    name = v_drop.name, image_url = v_drop.image_url, price = v_drop.price, max_per_user = v_drop.max_per_user,
    price_changed = d.price_changed or d.price <> v_drop.price, hold_seconds = v_drop.hold_seconds,
    drop_start_time = v_drop.drop_start_time, drop_end_time = v_drop.drop_end_time, state = v_drop.state,
    highest_max_per_user = case when v_drop.max_per_user is not null and d.highest_max_per_user is not null
                                then greatest(v_drop.max_per_user, d.highest_max_per_user) end
  where d.id = p_drop;
  insert into outbox (drop_id, kind) values (p_drop, 'changed');
  return 'ok';
end
$$;

-- Adds `p_quantity` units to a size, or takes that many away from what is on sale.
create or replace function restock(
  p_drop bigint, p_size text, p_quantity integer, p_key text, p_hash text,
  out outcome text, out on_sale integer
)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
set lock_timeout = '2s'
as $$
declare
  v_size drop_sizes;
  v_stripes smallint[];
  v_total integer;
begin
  select k.outcome into outcome from claim_key('restock', p_key, p_hash, p_drop) k;
  if outcome is not null then return; end if;
  outcome := lock_for_restock(p_drop, coalesce(p_size, ''), p_size is null);
  if outcome is null then
    select * into v_size from drop_sizes s where s.drop_id = p_drop and s.size = coalesce(p_size, '');
    select array_agg(s.stripe) into v_stripes from stock_stripes s where s.drop_id = p_drop and s.size = v_size.size;
    -- Overdue holds hold nothing: their units count as on sale.
    perform expire_locked(p_drop, v_size.size, v_stripes, clock(), 1000000);
    select sum(s.available) into on_sale from stock_stripes s where s.drop_id = p_drop and s.size = v_size.size;
    select d.total_stock + p_quantity into v_total from drops d where d.id = p_drop;
    outcome := case when on_sale + p_quantity < 0 then 'stock_committed'
                    when v_total > 1000000 then 'validation_failed' end;
  end if;
  if outcome is not null then
    delete from idempotency_keys k where k.operation = 'restock' and k.key = p_key;
    return;
  end if;

  perform spread(v_size, p_quantity);
  update drops d set total_stock = v_total where d.id = p_drop;
  insert into outbox (drop_id, kind) values (p_drop, 'stock'), (p_drop, 'changed');
  outcome := 'ok';
end
$$;

-- Locks the drop and all stripes of a size in their order, waiting for buyers in flight. Returns the error code if there are none.
create or replace function lock_for_restock(p_drop bigint, p_size text, p_unnamed boolean) returns text
language plpgsql
as $$
begin
  -- The drop comes first: another restock in flight may add stripes, and the next statement sees those. Nobody who has a
  -- stripe waits for a drop.
  perform from drops d where d.id = p_drop for no key update;
  if not found then return 'drop_not_found'; end if;
  perform from stock_stripes s
  where s.drop_id = p_drop and s.size = p_size
  order by s.stripe for no key update;
  if found then return null; end if;
  return case when p_unnamed then 'size_required' else 'unknown_size' end;
end
$$;

-- Spreads added units evenly, over new stripes too if the size has outgrown its own; takes removed ones from the first
-- stripes that have them. The caller has locked the stripes and checked that there are enough.
create or replace function spread(p_size drop_sizes, p_quantity integer) returns void
language plpgsql
as $$
declare
  v_stripes integer := greatest(p_size.stripes, stripes_for(p_size.total_stock + p_quantity));
begin
  update drop_sizes z set total_stock = z.total_stock + p_quantity, stripes = v_stripes
  where z.drop_id = p_size.drop_id and z.size = p_size.size;
  insert into stock_stripes (drop_id, size, stripe, available)
  select p_size.drop_id, p_size.size, n, 0 from generate_series(p_size.stripes, v_stripes - 1) n;
  if p_quantity > 0 then
    update stock_stripes s
    set available = s.available + p_quantity / v_stripes + (s.stripe < p_quantity % v_stripes)::integer,
        changes = s.changes + 1
    where s.drop_id = p_size.drop_id and s.size = p_size.size;
  else
    update stock_stripes s set available = s.available - take.units, changes = s.changes + 1
    from (
      select o.stripe, least(o.available, greatest(0, -p_quantity - o.before)) as units
      from (select i.stripe, i.available, sum(i.available) over (order by i.stripe) - i.available as before
            from stock_stripes i where i.drop_id = p_size.drop_id and i.size = p_size.size) o
    ) take
    where s.drop_id = p_size.drop_id and s.size = p_size.size and s.stripe = take.stripe and take.units > 0;
  end if;
end
$$;
