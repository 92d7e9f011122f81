CREATE TABLE users (
    id BLOB PRIMARY KEY,
    username TEXT NOT NULL,
    username_key TEXT,
    email TEXT NOT NULL,
    email_key TEXT,
    name TEXT,
    role TEXT NOT NULL,
    status TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    password_hash TEXT,
    password_changed_at INTEGER,
    created_at INTEGER NOT NULL,
    last_sign_in_at INTEGER,
    deleted_at INTEGER,
    CONSTRAINT users_username_key UNIQUE (username_key),
    CONSTRAINT users_email_key UNIQUE (email_key)
);
CREATE INDEX users_administrators ON users (role, status) WHERE deleted_at IS NULL;

CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    user_id BLOB NOT NULL REFERENCES users (id),
    kind TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    remember INTEGER NOT NULL,
    device TEXT NOT NULL,
    address TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    password_entered_at INTEGER NOT NULL,
    last_active_at INTEGER NOT NULL,
    idle_ms INTEGER NOT NULL,
    absolute_limit INTEGER NOT NULL,
    ended_at INTEGER,
    ended_by TEXT,
    end_reason TEXT
);
CREATE INDEX sessions_of_user ON sessions (user_id, last_active_at DESC, id DESC) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_activity ON sessions (last_active_at DESC, id DESC) WHERE ended_at IS NULL;

-- `at` is the moment of the insertion by the database's clock, so that nodes with other clocks agree.
CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    kind TEXT NOT NULL,
    user_id BLOB NOT NULL,
    session_id BLOB
);
CREATE INDEX changes_at ON changes (at);

CREATE TABLE audit_events (
    id BLOB PRIMARY KEY,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    outcome TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id BLOB,
    actor_username TEXT,
    subject_id BLOB,
    subject_username TEXT,
    session_id BLOB,
    address TEXT,
    device TEXT,
    request_id TEXT,
    detail TEXT
);
CREATE INDEX audit_events_of_subject ON audit_events (subject_id, id DESC);

CREATE TABLE one_time_links (
    token_hash BLOB PRIMARY KEY,
    purpose TEXT NOT NULL,
    user_id BLOB REFERENCES users (id),
    expires_at INTEGER NOT NULL
);

CREATE TABLE installation (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
