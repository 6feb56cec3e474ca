-- Users, and what a buyer asks of their own holds. Conventions: functions.sql.

create or replace function create_user(
  p_username text, p_key text, p_hash text,
  out outcome text, out user_id bigint, out username text
)
language plpgsql
as $$
declare
  v_key text;
begin
  select k.outcome, k.result_id into v_key, user_id
  from claim_key('create_user', p_key, p_hash, 0) k;
  if v_key = 'idempotency_mismatch' then outcome := v_key; return; end if;
  if v_key = 'replayed' then
    select u.id, u.username into user_id, username from users u where u.id = create_user.user_id;
    outcome := v_key;
    return;
  end if;
  insert into users (username) values (p_username)
  on conflict on constraint username_taken do nothing
  returning users.id, users.username into user_id, username;
  if not found then
    delete from idempotency_keys k where k.operation = 'create_user' and k.key = p_key;
    outcome := 'username_taken';
    return;
  end if;
  update idempotency_keys k set result_id = user_id where k.operation = 'create_user' and k.key = p_key;
  outcome := 'ok';
end
$$;

-- The user of a token's subject, made at first sight. However many calls see it first at once, one user is made. A username
-- that is taken gets a suffix: the identity provider's names are not ours, and two of its users may have the same.
create or replace function user_for_subject(p_issuer text, p_subject text, p_username text) returns bigint
language plpgsql
set enable_seqscan = off
as $$
declare
  v_id bigint;
  v_name text := p_username;
begin
  select i.user_id into v_id from identities i where i.issuer = p_issuer and i.subject = p_subject;
  if found then return v_id; end if;
  -- Who comes second waits here, and finds the row then.
  perform pg_advisory_xact_lock(hashtextextended(p_issuer || ' ' || p_subject, 72177002));
  select i.user_id into v_id from identities i where i.issuer = p_issuer and i.subject = p_subject;
  if found then return v_id; end if;
  while v_id is null loop
    insert into users (username) values (v_name)
    on conflict on constraint username_taken do nothing
    returning id into v_id;
    v_name := left(p_username, 191) || '-' || substr(md5(random()::text), 1, 8);
  end loop;
  insert into identities (issuer, subject, user_id, created_at) values (p_issuer, p_subject, v_id, clock());
  return v_id;
end
$$;

create or replace function list_users(p_limit integer, p_after bigint) returns setof users
language sql stable
as $$ select * from users u where u.id > p_after order by u.id limit p_limit $$;

-- A reservation with the seconds it is still good for. A hold past its deadline reads EXPIRED, swept or not.
create or replace function get_reservation(
  p_reservation bigint, p_user bigint,
  out outcome text, out hold reservations, out seconds_left double precision
)
language plpgsql
set enable_seqscan = off
as $$
declare
  v_now timestamptz;
begin
  select * into hold from reservations r where r.id = p_reservation;
  v_now := clock();
  outcome := case when not found then 'reservation_not_found' when hold.user_id <> p_user then 'not_owner' else 'ok' end;
  if hold.status = 'ACTIVE' and hold.expires_at <= v_now then hold.status := 'EXPIRED'; end if;
  seconds_left := case when hold.status = 'ACTIVE' then extract(epoch from hold.expires_at - v_now) else 0 end;
end
$$;

-- The user's holds in these drops that are still good. One look into one_live_hold_per_user for each drop: `offset 0`
-- keeps the planner from turning the look-ups into a join that reads the index whole.
create or replace function live_holds(p_user bigint, p_drops bigint[])
returns table (hold reservations, server_time timestamptz)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_now timestamptz := clock();
begin
  return query
  select row(own.*)::reservations, v_now
  from (select distinct d.id from unnest(p_drops) d(id)) wanted
  cross join lateral (
    select r.* from reservations r
    where r.drop_id = wanted.id and r.user_id = p_user and r.status = 'ACTIVE'
    offset 0
  ) own
  where own.expires_at > v_now
  order by own.id;
end
$$;
