\set n :n + 1
\set user :client_id * :block + :n
select to_json(reserve(:drop, :user, null, 60, 60));
