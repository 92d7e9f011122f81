CREATE TABLE users (
    id uuid PRIMARY KEY,
    username text NOT NULL,
    username_key text,
    email text NOT NULL,
    email_key text,
    name text,
    role text NOT NULL,
    status text NOT NULL,
    epoch bigint NOT NULL,
    rev bigint NOT NULL,
    password_hash text,
    password_changed_at timestamptz,
    created_at timestamptz NOT NULL,
    last_sign_in_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT users_username_key UNIQUE (username_key),
    CONSTRAINT users_email_key UNIQUE (email_key)
);
CREATE INDEX users_administrators ON users (role, status) WHERE deleted_at IS NULL;

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    kind text NOT NULL,
    secret_hash bytea NOT NULL,
    epoch bigint NOT NULL,
    remember boolean NOT NULL,
    device text NOT NULL,
    address text NOT NULL,
    created_at timestamptz NOT NULL,
    password_entered_at timestamptz NOT NULL,
    last_active_at timestamptz NOT NULL,
    idle_ms bigint NOT NULL,
    absolute_limit timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by text,
    end_reason text
);
CREATE INDEX sessions_of_user ON sessions (user_id, last_active_at DESC, id DESC) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_activity ON sessions (last_active_at DESC, id DESC) WHERE ended_at IS NULL;

-- `at` is the moment of the insertion by the database's clock, so that nodes with other clocks agree.
CREATE TABLE changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    user_id uuid NOT NULL,
    session_id uuid
);
CREATE INDEX changes_at ON changes (at);

CREATE TABLE audit_events (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    event text NOT NULL,
    outcome text NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    actor_username text,
    subject_id uuid,
    subject_username text,
    session_id uuid,
    address text,
    device text,
    request_id text,
    detail text
);
CREATE INDEX audit_events_of_subject ON audit_events (subject_id, id DESC);

CREATE TABLE one_time_links (
    token_hash bytea PRIMARY KEY,
    purpose text NOT NULL,
    user_id uuid REFERENCES users (id),
    expires_at timestamptz NOT NULL
);

CREATE TABLE installation (
    name text PRIMARY KEY,
    value text NOT NULL
);
