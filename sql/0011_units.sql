-- The same rule as a domain's. Postgres keeps a domain's rule in memory, where it reads a check of a table from its catalog anew for
-- every statement that writes: a fiftieth of a reserve. What speaks against domains is that a rule of theirs is tried on
-- whole tables under a lock; this table has at most 64 rows a size.
-- squawk-ignore ban-create-domain-with-constraint
create domain units as integer constraint stock_not_negative check (value >= 0);
alter table stock_stripes
  -- squawk-ignore changing-column-type
  alter column available type units,
  -- squawk-ignore ban-drop-constraint
  drop constraint stock_not_negative;
