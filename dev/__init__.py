"""The local stack: Postgres, PgBouncer, soketi and every function on one port. Never deployed."""
