-- What a buyer does with a hold: buy it, or give it back. Conventions: functions.sql.

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
  -- An old one may have been forgotten meanwhile.
  if not found then outcome := 'reservation_not_found'; return; end if;
  v_now := clock();
  outcome := case
    when hold.status = 'RELEASED' then 'replayed'
    when hold.status = 'PURCHASED' then 'reservation_closed'
    when hold.status = 'EXPIRED' or hold.expires_at <= v_now then 'reservation_expired'
  end;
  if outcome is not null then return; end if;

  update reservations r set status = 'RELEASED', closed_at = v_now where r.id = p_reservation returning * into hold;
  update stock_stripes s set available = s.available + 1, changes = s.changes + 1, released = s.released + 1
  where s.drop_id = hold.drop_id and s.size = hold.size and s.stripe = hold.stripe;
  perform mark_stock(hold.drop_id);
  outcome := 'ok';
end
$$;
