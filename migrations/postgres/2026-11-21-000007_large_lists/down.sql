DROP INDEX users_short_parts;
DROP FUNCTION short_parts;
DROP INDEX sessions_by_device;
CREATE INDEX sessions_by_device ON sessions (lower(device));
DROP INDEX sessions_ever_of_user;
CREATE INDEX sessions_ever_of_user ON sessions (user_id);
DROP INDEX sessions_of_user;
CREATE INDEX sessions_of_user ON sessions (user_id, last_active_at DESC, id DESC) WHERE ended_at IS NULL;
