-- A buyer's ended holds of a drop by the time at which they were made, for reserve's rate limit (attempt_allowed_at in
-- functions.sql). A hold is in it only once it has ended: so a reserve writes nothing more than before, and what ends a hold
-- one entry. Its condition implies no other index's, and theirs not this one's.
-- Built in the transaction that puts in the functions which use it.
-- squawk-ignore require-concurrent-index-creation
create index ended_holds on reservations (drop_id, user_id, created_at) where closed_at is not null;

-- Their successors in functions.sql take the limit; to those who do not give one, there is none.
-- squawk-ignore ban-drop-function
drop function if exists reserve(bigint, bigint, text);
-- squawk-ignore ban-drop-function
drop function if exists lock_any_stripe(bigint, text, timestamptz);
