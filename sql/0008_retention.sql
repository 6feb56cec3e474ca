-- What retention remembers (functions_retention.sql).

-- How far forget_reservations has come. One row.
create table retention (
  is_the_row boolean primary key default true,
  last_id bigint not null default 0,
  constraint one_row_only check (is_the_row)
);
insert into retention default values;

-- How many ended holds of a stripe were deleted, so that the audit can still compare rows with counts.
create table forgotten_holds (
  drop_id bigint not null,
  size text not null,
  stripe smallint not null,
  expired bigint not null,
  released bigint not null,
  primary key (drop_id, size, stripe)
);
