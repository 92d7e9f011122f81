DROP INDEX sessions_of_user;
CREATE INDEX sessions_of_user ON sessions (user_id, last_active_at DESC, id DESC, kind, idle_ms, absolute_limit)
WHERE ended_at IS NULL;
-- Whoever knows no ends of single accounts would note them of everyone.
DELETE FROM unnoted_ends WHERE user_id IS NOT NULL;
ALTER TABLE unnoted_ends DROP COLUMN user_id;
