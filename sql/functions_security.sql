-- Who may do what in the database. Applied last at every deploy: `create or replace` takes away what is set here.
--
-- The role `holdfast_app` is for the functions of api/ and scheduled/: give it to the user they log in as. It may call the
-- functions that lib/ calls, and nothing else: it reads and writes no table. What it calls runs with the rights of the owner,
-- who migrates. Such a function has a search path of its own, with temporary objects last: a caller must not be able to put a
-- table or a function of theirs in the place of ours. Everything else stays with its caller's rights.
--
-- A function that is in neither list is one that nobody thought about (tests/test_roles.py).

do $$
declare
  v_entry constant text[] := array[
    -- functions.sql
    'clock', 'reserve',
    -- functions_expiry.sql
    'expire_due',
    -- functions_holds.sql
    'purchase', 'release',
    -- functions_drops.sql
    'get_drop', 'list_drops', 'create_drop', 'update_drop', 'restock',
    -- functions_buyers.sql
    'create_user', 'user_for_subject', 'list_users', 'get_reservation', 'live_holds',
    -- functions_keys.sql
    'forget_keys',
    -- functions_events.sql
    'claim_events', 'ack_events', 'defer_events', 'health',
    -- functions_retention.sql
    'forget_reservations',
    -- functions_reports.sql
    'search_drops', 'drop_stats', 'stock_history', 'newest_purchases', 'oldest_purchases', 'drop_exists',
    -- functions_audit.sql
    'audit', 'audit_drop', 'audit_next', 'audit_standing', 'audit_ids'];
  v_inner constant text[] := array[
    -- functions.sql
    'refusal', 'over_limit', 'attempt_allowed_at', 'lock_any_stripe',
    -- functions_expiry.sql
    'expire_locked', 'expire_own', 'next_deadlines', 'expire_size',
    -- functions_holds.sql
    'drop_snapshot',
    -- functions_drops.sql
    'utc_text', 'drop_status', 'stripes_for', 'lock_for_restock', 'spread',
    -- functions_keys.sql
    'claim_key',
    -- functions_events.sql
    'mark_stock', 'fold_changed', 'fold_stock', 'sample_stock', 'replace_marks',
    -- tables
    'keep_row', 'outbox_kind_is_known', 'reservation_is_sound'];
  v_schema constant text := quote_ident(current_schema());
  v_function record;
begin
  begin
    if to_regrole('holdfast_app') is null then create role holdfast_app; end if;
  exception
    when insufficient_privilege then
      raise warning 'There is no role holdfast_app, and % may not make one. The functions of api/ must log in as the owner of the tables until somebody who may runs `create role holdfast_app`; then migrate again.', current_user;
    -- Roles belong to the whole server: a migration of another database made it at this instant.
    when duplicate_object or unique_violation then null;
  end;

  for v_function in
    select p.oid::regprocedure as signature, p.proname as name from pg_proc p
    where p.pronamespace = current_schema()::regnamespace and p.proname = any (v_entry || v_inner)
  loop
    execute format('revoke all on function %s from public', v_function.signature);
    if to_regrole('holdfast_app') is not null then
      execute format('revoke all on function %s from holdfast_app', v_function.signature);
    end if;
    continue when v_function.name = any (v_inner);
    -- clock() reads nothing, and is taken into the statements that call it as long as it has no settings.
    if v_function.name <> 'clock' then
      execute format('alter function %s security definer set search_path = pg_catalog, %s, pg_temp',
                     v_function.signature, v_schema);
    end if;
    if to_regrole('holdfast_app') is not null then
      execute format('grant execute on function %s to holdfast_app', v_function.signature);
    end if;
  end loop;
  -- A table or function that a caller put beside ours would be found on any search path.
  execute format('revoke create on schema %s from public', v_schema);
  if to_regrole('holdfast_app') is not null then
    execute format('grant usage on schema %s to holdfast_app', v_schema);
  end if;
end
$$;
