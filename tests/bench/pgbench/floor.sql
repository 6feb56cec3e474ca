\set n :n + 1
\set user :client_id * :block + :n
insert into floor (user_id, drop_id, status, expires_at) values (:user, :drop, 'ACTIVE', now() + interval '1 day') returning id;
