-- Of sessions of kind `api`: what their refresh tokens are computed from, and how often these were rotated.
ALTER TABLE sessions ADD COLUMN refresh_seed BLOB;
ALTER TABLE sessions ADD COLUMN refresh_counter INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN refresh_rotated_at INTEGER;
