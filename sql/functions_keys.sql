-- Idempotency keys: the answer to a request that is repeated. Conventions: functions.sql.

-- The earlier answer to `p_key`, or a claim on the key for `p_result`. outcome: null (the key is new), 'replayed' with the
-- earlier result, or 'idempotency_mismatch' (the key came with another request). Waits for a call that has the key.
create or replace function claim_key(
  p_operation text, p_key text, p_hash text, p_result bigint,
  out outcome text, out result_id bigint
)
language plpgsql
as $$
declare
  v_now timestamptz := clock();
  v_first idempotency_keys;
begin
  loop
    result_id := p_result;
    insert into idempotency_keys (operation, key, request_hash, result_id, created_at)
    values (p_operation, p_key, p_hash, p_result, v_now)
    on conflict (operation, key) do nothing;
    if found then return; end if;
    select * into v_first from idempotency_keys k where k.operation = p_operation and k.key = p_key;
    -- Not there: it was forgotten in between, so it is new.
    exit when found;
  end loop;
  result_id := v_first.result_id;
  outcome := case when v_first.request_hash = p_hash then 'replayed' else 'idempotency_mismatch' end;
end
$$;

-- Forgets keys older than a day, ten thousand of them at most; who repeats a request after that makes a new one.
create or replace function forget_keys() returns void
language sql
as $$
  delete from idempotency_keys k
  where (k.operation, k.key) in (
    select o.operation, o.key from idempotency_keys o
    where o.created_at < (select clock() - interval '1 day')
    order by o.created_at limit 10000
    for update skip locked)
$$;
