-- The audit: every promise about a drop's rows, recomputed from the rows alone. Conventions: functions.sql.
--
-- One statement reads all of it, so it sees one moment: sales that go on meanwhile are in it whole or not at all, and never
-- look like damage. It takes no lock that anybody waits for.

-- What is wrong with a drop, a row for each thing: the rule, the table, the row's key, and what is there. Empty if nothing.
-- p_thorough reads all reservations of the table, to name the rows that a wrong count only tells of; without it that is
-- done when a count of this drop is wrong.
create or replace function audit(p_drop bigint, p_thorough boolean)
returns table (rule text, relation text, row_id text, detail text)
language sql stable
set jit = off
as $$
  with d as materialized (
    select * from drops where id = p_drop
  ), z as materialized (
    select * from drop_sizes where drop_id = p_drop
  ), s as materialized (
    select * from stock_stripes where drop_id = p_drop
  ), live as materialized (
    select * from reservations where drop_id = p_drop and status = 'ACTIVE'
  ), waiting as materialized (
    select * from outbox where drop_id = p_drop
  ), sold as materialized (
    select size, count(*) as units from purchases where drop_id = p_drop group by size
  ), units as materialized (
    select z.size, z.total_stock as total,
           (select coalesce(sum(s.available), 0) from s where s.size = z.size) as available,
           (select count(*) from live where live.size = z.size) as held,
           (select coalesce(sum(sold.units), 0) from sold where sold.size = z.size) as purchased
    from z
  ), suspicion as materialized (
    select p_thorough or exists (select from units u where u.total <> u.available + u.held + u.purchased) as is_there
  ), ended as materialized (
    select r.size, r.stripe, count(*) filter (where r.status = 'EXPIRED') as expired,
           count(*) filter (where r.status = 'RELEASED') as released
    from reservations r where (select is_there from suspicion) and r.drop_id = p_drop group by r.size, r.stripe
  ), forgotten as materialized (
    select f.size, f.stripe, f.expired, f.released from forgotten_holds f where f.drop_id = p_drop
  ), found (rule, relation, row_id, detail) as (

    select 'drop_missing', 'drops', p_drop::text, 'rows of this drop are there, but not the drop'
    where not exists (select from d)

    union all
    select 'units_not_conserved', 'drop_sizes', p_drop || '/' || u.size,
           format('total %s, but available %s + held %s + purchased %s = %s', u.total, u.available, u.held, u.purchased,
                  u.available + u.held + u.purchased)
    from units u where u.total <> u.available + u.held + u.purchased

    union all
    select 'sizes_do_not_add_up', 'drops', d.id::text,
           format('total_stock is %s, that of its sizes %s', d.total_stock, (select sum(z.total_stock) from z))
    from d where d.total_stock is distinct from (select sum(z.total_stock) from z)

    union all
    select 'stripes_do_not_add_up', 'drop_sizes', p_drop || '/' || z.size,
           format('%s stripes, but these rows: %s', z.stripes, array(select s.stripe from s where s.size = z.size order by 1))
    from z where array(select s.stripe::integer from s where s.size = z.size order by 1)
                 <> array(select generate_series(0, z.stripes - 1))

    union all
    select 'stock_below_zero', 'stock_stripes', p_drop || '/' || s.size || '/' || s.stripe, format('available %s', s.available)
    from s where s.available < 0

    union all
    select 'stripe_without_size', 'stock_stripes', p_drop || '/' || s.size || '/' || s.stripe, 'its size is not there'
    from s where not exists (select from z where z.size = s.size)

    union all
    select 'hold_without_stripe', 'reservations', live.id::text, format('size %L, stripe %s', live.size, live.stripe)
    from live where not exists (select from s where s.size = live.size and s.stripe = live.stripe)

    union all
    select 'hold_without_user', 'reservations', live.id::text, format('user %s is not there', live.user_id)
    from live where not exists (select from users u where u.id = live.user_id)

    union all
    select 'held_twice', 'reservations', max(live.id)::text, format('user %s has %s live holds', live.user_id, count(*))
    from live group by live.user_id having count(*) > 1

    union all
    select 'hold_overdue', 'reservations', live.id::text, format('since %s; nobody has swept it', live.expires_at)
    from live where live.expires_at < (select clock()) - interval '2 minutes'

    union all
    select 'purchase_without_hold', 'purchases', p.id::text,
           case when r.id is null then format('reservation %s is not there', p.reservation_id)
                when r.status <> 'PURCHASED' then format('reservation %s is %s', r.id, r.status)
                when p.created_at >= r.expires_at then
                  format('bought at %s, past the deadline %s of reservation %s', p.created_at, r.expires_at, r.id)
                else format('reservation %s is of user %s, drop %s, size %L', r.id, r.user_id, r.drop_id, r.size) end
    from purchases p left join reservations r on r.id = p.reservation_id
    where p.drop_id = p_drop
      and (r.status is distinct from 'PURCHASED' or p.created_at >= r.expires_at
           or (r.user_id, r.drop_id, r.size) is distinct from (p.user_id, p.drop_id, p.size))

    union all
    select 'purchase_of_no_size', 'purchases', p.id::text, format('size %L is not there', p.size)
    from purchases p
    where p.drop_id = p_drop and p.size in (select sold.size from sold except select z.size from z)

    union all
    select 'limit_exceeded', 'users', b.user_id::text,
           format('%s units of drop %s, whose limit was never above %s', b.units, p_drop, d.highest_max_per_user)
    from d cross join lateral (
      select o.user_id, count(*) as units
      from (select p.user_id from purchases p where p.drop_id = p_drop
            union all select live.user_id from live) o
      where d.highest_max_per_user is not null
      group by o.user_id
    ) b where b.units > d.highest_max_per_user

    union all
    select 'feed_missing', 'drop_feeds', p_drop::text, 'viewers of this drop are told nothing'
    where exists (select from d) and not exists (select from drop_feeds f where f.drop_id = p_drop)

    union all
    select 'viewers_not_told', 'drop_feeds', p_drop::text,
           format('%s on sale, viewers were told %s, and nothing waits to be told', u.available, f.stock_sent)
    from drop_feeds f, (select sum(units.available) as available from units) u
    where f.drop_id = p_drop and u.available <> f.stock_sent
      and not exists (select from waiting w where w.kind = 'stock')

    union all
    select 'event_waiting', 'outbox', w.id::text, format('%s, since %s', w.kind, w.created_at)
    from waiting w where w.created_at < (select clock()) - interval '1 minute'

    -- From here on whole tables are read.
    union all
    select 'hold_without_purchase', 'reservations', r.id::text, 'PURCHASED, but there is no purchase'
    from reservations r
    where (select is_there from suspicion) and r.drop_id = p_drop and r.status = 'PURCHASED'
      and not exists (select from purchases p where p.reservation_id = r.id)

    union all
    select 'hold_out_of_place', 'reservations', r.id::text, format('%s, size %L, stripe %s', r.status, r.size, r.stripe)
    from reservations r
    where (select is_there from suspicion) and r.drop_id = p_drop and r.status <> 'ACTIVE'
      and not exists (select from s where s.size = r.size and s.stripe = r.stripe)

    union all
    select 'ended_holds_miscounted', 'stock_stripes', p_drop || '/' || s.size || '/' || s.stripe,
           format('expired %s and released %s, but %s and %s holds of it have', s.expired, s.released, e.expired, e.released)
    from s cross join lateral (
      select coalesce(sum(o.expired), 0) as expired, coalesce(sum(o.released), 0) as released
      from (select * from ended union all select * from forgotten) o where o.size = s.size and o.stripe = s.stripe
    ) e
    where (select is_there from suspicion) and (s.expired, s.released) <> (e.expired, e.released)

    union all
    select 'bought_twice', 'purchases', max(p.id)::text, format('reservation %s has %s purchases', p.reservation_id, count(*))
    from purchases p
    where (select is_there from suspicion) and p.drop_id = p_drop
    group by p.reservation_id having count(*) > 1

    union all
    select 'purchase_without_user', 'purchases', p.id::text, format('user %s is not there', p.user_id)
    from purchases p
    where (select is_there from suspicion) and p.drop_id = p_drop
      and not exists (select from users u where u.id = p.user_id)
  )
  select f.rule, f.relation, f.row_id, f.detail from found f order by f.rule, f.relation, f.row_id limit 100
$$;

-- Audits a drop and remembers what was found, for audit_next and for health.
create or replace function audit_drop(
  p_drop bigint, p_thorough boolean,
  out outcome text, out findings jsonb, out audited_at timestamptz, out took_ms double precision
)
language plpgsql
as $$
declare
  v_began timestamptz := clock_timestamp();
  v_version bigint;
  v_last_purchase bigint;
begin
  perform from drops d where d.id = p_drop;
  if not found then outcome := 'drop_not_found'; return; end if;
  -- In one statement with the audit: what comes after it is then news.
  select (select f.version from drop_feeds f where f.drop_id = p_drop),
         (select max(p.id) from purchases p where p.drop_id = p_drop),
         coalesce(jsonb_agg(jsonb_build_object('rule', a.rule, 'table', a.relation, 'id', a.row_id, 'detail', a.detail)), '[]')
  into v_version, v_last_purchase, findings
  from audit(p_drop, p_thorough) a;
  audited_at := clock();
  took_ms := extract(epoch from clock_timestamp() - v_began) * 1000;
  insert into drop_audits as a (drop_id, audited_at, version, last_purchase, next_at, took_ms, findings)
  values (p_drop, audit_drop.audited_at, coalesce(v_version, 0), coalesce(v_last_purchase, 0),
          audit_drop.audited_at + make_interval(secs => greatest(60, audit_drop.took_ms / 10)),
          audit_drop.took_ms, audit_drop.findings)
  on conflict (drop_id) do update set
    audited_at = excluded.audited_at, version = excluded.version, last_purchase = excluded.last_purchase,
    next_at = excluded.next_at, took_ms = excluded.took_ms, findings = excluded.findings
  where a.audited_at <= excluded.audited_at;
  outcome := 'ok';
end
$$;

-- Audits one drop whose turn it is: changed since its last audit, or with a standing finding, or open and not looked at
-- for an hour. A drop's turn comes a minute after its last one at the earliest, and after a hundred times as long as that
-- took. One audit runs at a time, whoever asks. drop_id is null if it is nobody's turn.
create or replace function audit_next(out drop_id bigint, out findings jsonb, out took_ms double precision)
language plpgsql
as $$
declare
  v_now timestamptz := clock();
begin
  if not pg_try_advisory_xact_lock(72177002) then return; end if;
  select d.id into drop_id
  from drops d
  join drop_feeds f on f.drop_id = d.id
  left join drop_audits a on a.drop_id = d.id
  where coalesce(a.next_at, '-infinity') <= v_now
    and (a.drop_id is null or a.version <> f.version or a.findings <> '[]'
         or (a.audited_at <= v_now - interval '1 hour' and d.state <> 'CANCELLED' and d.drop_end_time > v_now)
         or a.last_purchase < (select max(p.id) from purchases p where p.drop_id = d.id))
  order by a.next_at nulls first, d.id limit 1;
  if drop_id is null then return; end if;
  select a.findings, a.took_ms into findings, took_ms from audit_drop(audit_next.drop_id, false) a;
end
$$;

-- What the last audits found and nobody has mended: how many findings, and of which drops (the first hundred).
create or replace function audit_standing(out audit_findings integer, out audit_drops bigint[])
language sql stable
as $$
  select coalesce(sum(jsonb_array_length(a.findings)), 0)::integer,
         coalesce((array_agg(a.drop_id order by a.drop_id))[1:100], '{}')
  from drop_audits a where a.findings <> '[]'
$$;

-- Every drop id that any row names, whether the drop is there or not.
create or replace function audit_ids() returns setof bigint
language sql stable
as $$
  select d.id from drops d
  union select z.drop_id from drop_sizes z
  union select p.drop_id from purchases p
  union select r.drop_id from reservations r
  union select o.drop_id from outbox o
  order by 1
$$;
