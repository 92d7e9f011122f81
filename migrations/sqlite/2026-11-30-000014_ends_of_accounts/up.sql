-- Of whose sessions the end was; of everyone's of these roles where there is none.
ALTER TABLE unnoted_ends ADD COLUMN user_id BLOB REFERENCES users (id);

-- By epoch too: what has ended with all others, and has yet to be noted, is in nobody's way.
DROP INDEX sessions_of_user;
CREATE INDEX sessions_of_user ON sessions (user_id, epoch, last_active_at DESC, id DESC, kind, idle_ms, absolute_limit)
WHERE ended_at IS NULL;
