CREATE TABLE lockouts (
    key BLOB PRIMARY KEY,
    user_id BLOB,
    failures INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX lockouts_of_user ON lockouts (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX lockouts_expires_at ON lockouts (expires_at);
