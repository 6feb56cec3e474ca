-- How often a stripe's `available` has changed. The sum over a drop's stripes only ever grows, in the very transactions that
-- change its stock: of any two readings of a drop's stock the newer one has the higher sum, whoever read and in whatever
-- order they are told. Viewers get it as stockVersion. drop_feeds.version cannot do that: a snapshot that is read while an
-- event is being folded has the lower version and the newer stock.
alter table stock_stripes add column changes bigint not null default 0;
