-- Compared byte by byte, so that an index finds whatever begins with something.
ALTER TABLE sessions ALTER COLUMN address TYPE text COLLATE "C", ALTER COLUMN device TYPE text COLLATE "C";

-- Lists of sessions, live and ended.
CREATE INDEX sessions_by_kind ON sessions (kind, last_active_at DESC, id DESC) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_end ON sessions (ended_at DESC, id DESC) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_ever_of_user ON sessions (user_id);
CREATE INDEX sessions_by_address ON sessions (address);
CREATE INDEX sessions_by_device ON sessions (lower(device));

-- The audit log by each of its filters, newest first.
CREATE INDEX audit_events_of_actor ON audit_events (actor_id, id DESC);
CREATE INDEX audit_events_by_event ON audit_events (event, id DESC);
CREATE INDEX audit_events_by_address ON audit_events (address, id DESC);
CREATE INDEX audit_events_failed ON audit_events (id DESC) WHERE outcome = 'failure';

-- Names in the audit log outlive their accounts.
CREATE INDEX users_by_any_name ON users (lower(username));

-- Sign-ins and the like, counted in the transaction of each event.
CREATE TABLE stat_hours (
    hour timestamptz PRIMARY KEY,
    sign_ins bigint NOT NULL,
    failures bigint NOT NULL,
    reuse_alarms bigint NOT NULL
);

-- Totals of tables too large to be counted for each page, as of a moment.
CREATE TABLE figures (
    name text PRIMARY KEY,
    value bigint NOT NULL,
    at timestamptz NOT NULL
);

-- What one node does for all, and until when the others leave it to that one.
CREATE TABLE leases (
    name text PRIMARY KEY,
    until timestamptz NOT NULL
);
