-- All that counting an account's open sessions, and finding the expired ones among them, asks for.
DROP INDEX sessions_of_user;
CREATE INDEX sessions_of_user ON sessions (user_id, last_active_at DESC, id DESC, kind, idle_ms, absolute_limit)
WHERE ended_at IS NULL;

-- The same for finding the expired ones among all.
DROP INDEX sessions_by_activity;
CREATE INDEX sessions_by_activity ON sessions (last_active_at DESC, id DESC, idle_ms, absolute_limit)
WHERE ended_at IS NULL;

-- In the order in which they began.
DROP INDEX sessions_ever_of_user;
CREATE INDEX sessions_ever_of_user ON sessions (user_id, id DESC);

-- A text too short for a trigram is looked for in every account: here without reading the accounts.
CREATE INDEX users_text ON users (username_key, search_text, id) WHERE username_key IS NOT NULL;
