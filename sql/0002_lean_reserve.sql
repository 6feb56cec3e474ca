-- What a reserve writes and checks, made cheaper; what it guarantees stays.

-- A reservation's buyer and stripe are rows that reserve has read or locked itself, so its two foreign keys could only
-- ever fail if a user or a stripe were removed later. They cost a seventh of a reserve: two queries and a lock on the
-- user's row for each. That nobody removes such a row, or gives it another key, is kept where it costs nothing.
alter table reservations
  -- squawk-ignore ban-drop-constraint
  drop constraint reservations_user_id_fkey,
  -- squawk-ignore ban-drop-constraint
  drop constraint reservations_drop_id_size_stripe_fkey;

create function keep_row() returns trigger
language plpgsql
as $$
begin
  raise exception 'Rows of % are never removed and keep their keys: reservations and purchases point to them.', tg_table_name
    using errcode = 'restrict_violation', table = tg_table_name, constraint = tg_name;
end
$$;

create trigger users_are_kept before delete or update of id on users
  for each row execute function keep_row();
create trigger no_users_truncated before truncate on users
  for each statement execute function keep_row();
create trigger stripes_are_kept before delete or update of drop_id, size, stripe on stock_stripes
  for each row execute function keep_row();
create trigger no_stripes_truncated before truncate on stock_stripes
  for each statement execute function keep_row();

-- The same three rules in one constraint. Postgres reads a check's expression anew for every statement that writes, and these
-- three, written out, were a tenth of a reserve; a function's body it keeps.
create function reservation_is_sound(p_status text, p_created_at timestamptz, p_expires_at timestamptz, p_closed_at timestamptz)
returns boolean
language plpgsql immutable
as $$
begin
  return p_status in ('ACTIVE', 'EXPIRED', 'PURCHASED', 'RELEASED')
    and (p_status = 'ACTIVE') = (p_closed_at is null)
    and p_expires_at > p_created_at;
end
$$;
alter table reservations
  -- squawk-ignore constraint-missing-not-valid
  add constraint reservation_is_sound check (reservation_is_sound(status, created_at, expires_at, closed_at)),
  -- squawk-ignore ban-drop-constraint
  drop constraint reservation_status_known,
  -- squawk-ignore ban-drop-constraint
  drop constraint closed_when_not_active,
  -- squawk-ignore ban-drop-constraint
  drop constraint deadline_after_creation;

-- Live holds of one size by deadline. A sold-out answer finds the due holds of its own size and walks nobody else's.
-- `closed_at is null` says the same as status = 'ACTIVE' (reservation_is_sound) in other words: so neither this index nor
-- one_live_hold_per_user can serve a query that is meant for the other, whatever Postgres believes about the table.
-- Built and dropped in the transaction that replaces the functions which use them.
-- squawk-ignore require-concurrent-index-creation
create index live_holds on reservations (drop_id, size, expires_at) where closed_at is null;
-- squawk-ignore require-concurrent-index-deletion
drop index due_holds;

-- Their successors in functions.sql take one size of one drop.
-- squawk-ignore ban-drop-function
drop function if exists expire_locked(stock_stripes[], timestamptz, integer);
-- squawk-ignore ban-drop-function
drop function if exists lock_stripe_with_stock(bigint, text, integer, timestamptz);
