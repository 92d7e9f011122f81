ALTER TABLE sessions DROP COLUMN refresh_rotated_at;
ALTER TABLE sessions DROP COLUMN refresh_counter;
ALTER TABLE sessions DROP COLUMN refresh_seed;
