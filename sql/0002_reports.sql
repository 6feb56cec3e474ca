-- What the shop's reports read, so that no report has to count a drop's past holds: there may be millions.

-- How many holds of a stripe's units ended without a purchase. Kept by what returns the unit, in the update that returns
-- it: no statement more, and no index, so that the update stays HOT.
alter table stock_stripes
  add column expired bigint not null default 0,
  add column released bigint not null default 0;
update stock_stripes s set expired = past.expired, released = past.released
from (
  select r.drop_id, r.size, r.stripe,
         count(*) filter (where r.status = 'EXPIRED') as expired,
         count(*) filter (where r.status = 'RELEASED') as released
  from reservations r group by r.drop_id, r.size, r.stripe
) past
where s.drop_id = past.drop_id and s.size = past.size and s.stripe = past.stripe;

-- Whether units of a drop may have been sold at different prices. Until then revenue is sold units times price.
alter table drops add column price_changed boolean not null default false;
update drops d set price_changed = true
where exists (select from purchases p where p.drop_id = d.id and p.price <> d.price);

-- The stock over time: a row for a published stockUpdate, at most one a second, and ever fewer as the drop grows old
-- (functions_events.sql). Written by who folds events, never by a buyer.
create table stock_samples (
  drop_id bigint not null references drop_feeds (drop_id),
  sampled_at timestamptz not null,
  total_stock integer not null,
  available_stock integer not null,
  primary key (drop_id, sampled_at)
);
alter table drop_feeds add column sampled_at timestamptz not null default '-infinity';
