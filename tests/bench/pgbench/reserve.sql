\set n :n + 1
\set user :client_id * :block + :n
select outcome, server_time, starts_at, (hold).* from reserve(:drop, :user, null);
