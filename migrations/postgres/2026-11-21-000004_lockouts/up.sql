CREATE TABLE lockouts (
    key bytea PRIMARY KEY,
    user_id uuid,
    failures bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX lockouts_of_user ON lockouts (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX lockouts_expires_at ON lockouts (expires_at);
