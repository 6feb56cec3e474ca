-- What a purchase writes and checks, made cheaper; what it guarantees stays. The reasons are those of 0002_lean_reserve.sql.

-- purchase has locked the reservation itself, and a user is never removed (users_are_kept): the two foreign keys could only
-- fail if a bought reservation were removed later. That nobody does that is kept where it costs nothing.
alter table purchases
  -- squawk-ignore ban-drop-constraint
  drop constraint purchases_reservation_id_fkey,
  -- squawk-ignore ban-drop-constraint
  drop constraint purchases_user_id_fkey;
create trigger bought_reservations_are_kept before delete on reservations
  for each row when (old.status = 'PURCHASED') execute function keep_row();
create trigger reservations_keep_their_ids before update of id on reservations
  for each row execute function keep_row();
create trigger no_reservations_truncated before truncate on reservations
  for each statement execute function keep_row();

-- The same rule in a function's body, which Postgres keeps, where it reads an expression anew for every statement.
create function outbox_kind_is_known(p_kind text) returns boolean
language plpgsql immutable
as $$
begin
  return p_kind in ('stock', 'changed', 'purchase');
end
$$;
alter table outbox
  -- squawk-ignore constraint-missing-not-valid
  add constraint outbox_kind_is_known check (outbox_kind_is_known(kind)),
  -- squawk-ignore ban-drop-constraint
  drop constraint kind_known;
