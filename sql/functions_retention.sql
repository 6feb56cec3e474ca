-- Retention: old reservations are deleted where the shop asks for it (RETENTION_DAYS). Conventions: functions.sql.

-- Deletes reservations that ended without a purchase more than `p_days` days ago, and returns how many: of the next `p_limit`
-- that it has not looked at yet, in the order of their ids. Each is looked at once, so purchases, which stay, cost the next call
-- nothing, and no index is needed that every hold would pay for. Null when there is nothing more to look at now.
create or replace function forget_reservations(p_days integer, p_limit integer) returns integer
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_from bigint;
  v_to bigint;
  v_oldest_kept timestamptz := clock() - make_interval(days => p_days);
  v_deleted integer;
begin
  select t.last_id into v_from from retention t for no key update skip locked;
  if not found then return null; end if;
  -- Up to the first that is too young, or live: who comes after it is hardly older.
  select coalesce(min(o.id) filter (where o.closed_at is null or o.closed_at >= v_oldest_kept) - 1, max(o.id)) into v_to
  from (select r.id, r.closed_at from reservations r where r.id > v_from order by r.id limit p_limit) o;
  if v_to is null or v_to <= v_from then return null; end if;
  with gone as (
    delete from reservations r where r.id > v_from and r.id <= v_to and r.status in ('EXPIRED', 'RELEASED')
    returning r.drop_id, r.size, r.stripe, r.status
  ), counted as (
    insert into forgotten_holds as f (drop_id, size, stripe, expired, released)
    select g.drop_id, g.size, g.stripe,
           count(*) filter (where g.status = 'EXPIRED'), count(*) filter (where g.status = 'RELEASED')
    from gone g group by g.drop_id, g.size, g.stripe
    on conflict (drop_id, size, stripe) do update set
      expired = f.expired + excluded.expired, released = f.released + excluded.released
  )
  select count(*) into v_deleted from gone;
  update retention t set last_id = v_to;
  return v_deleted;
end
$$;
