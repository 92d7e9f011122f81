DROP INDEX users_text;
DROP INDEX sessions_ever_of_user;
CREATE INDEX sessions_ever_of_user ON sessions (user_id);
DROP INDEX sessions_by_activity;
CREATE INDEX sessions_by_activity ON sessions (last_active_at DESC, id DESC) WHERE ended_at IS NULL;
DROP INDEX sessions_of_user;
CREATE INDEX sessions_of_user ON sessions (user_id, last_active_at DESC, id DESC) WHERE ended_at IS NULL;
