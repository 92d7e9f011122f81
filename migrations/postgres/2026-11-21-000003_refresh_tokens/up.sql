-- Of sessions of kind `api`: what their refresh tokens are computed from, and how often these were rotated.
ALTER TABLE sessions
    ADD COLUMN refresh_seed bytea,
    ADD COLUMN refresh_counter bigint NOT NULL DEFAULT 0,
    ADD COLUMN refresh_rotated_at timestamptz;
