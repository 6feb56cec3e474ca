-- Whose user a row of `users` is, where buyers prove who they are: the subject of a token, which means something for its issuer
-- alone. Users made by name have none. A table of its own: `users` stays as it was for functions of the version before.
create table identities (
  issuer text not null,
  subject text not null,
  user_id bigint not null references users (id),
  created_at timestamptz not null,
  primary key (issuer, subject),
  constraint subject_bounded check (length(subject) between 1 and 255)
);
