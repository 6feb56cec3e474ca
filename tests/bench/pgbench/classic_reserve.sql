\set n :n + 1
\set user :client_id * :block + :n
begin;
select * from classic_drops where id = :drop for update;
insert into classic_reservations (user_id, drop_id, status, expires_at) values (:user, :drop, 'ACTIVE', now() + interval '1 day') returning *;
update classic_drops set available_stock = available_stock - 1 where id = :drop;
commit;
