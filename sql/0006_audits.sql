-- What the audit remembers (functions_audit.sql).

-- The last audit of each drop. `version` and `last_purchase` say what the drop was then: what differs now has changed since.
create table drop_audits (
  drop_id bigint primary key references drops (id),
  audited_at timestamptz not null,
  version bigint not null,
  last_purchase bigint not null,
  -- Not before this: an audit takes a hundredth of its drop's time at most.
  next_at timestamptz not null,
  took_ms double precision not null,
  findings jsonb not null,
  constraint findings_are_listed check (jsonb_typeof(findings) = 'array')
) with (fillfactor = 70);
create index standing_findings on drop_audits (drop_id) where findings <> '[]';

-- The highest max_per_user that was ever in force, so that the audit can tell a buyer who has too many from one who bought
-- before the limit was lowered. Null: there was a time without a limit, or (older drops) nobody knows.
alter table drops add column highest_max_per_user integer;
