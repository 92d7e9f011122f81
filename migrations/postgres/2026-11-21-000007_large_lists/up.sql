-- All that counting an account's open sessions, and finding the expired ones among them, asks for.
DROP INDEX sessions_of_user;
CREATE INDEX sessions_of_user ON sessions (user_id, last_active_at DESC, id DESC) INCLUDE (kind, idle_ms, absolute_limit)
WHERE ended_at IS NULL;

-- The same for finding the expired ones among all.
DROP INDEX sessions_by_activity;
CREATE INDEX sessions_by_activity ON sessions (last_active_at DESC, id DESC) INCLUDE (idle_ms, absolute_limit)
WHERE ended_at IS NULL;

-- In the order in which they began.
DROP INDEX sessions_ever_of_user;
CREATE INDEX sessions_ever_of_user ON sessions (user_id, id DESC);

-- With the column itself, or no search for an expression is answered by the index alone.
DROP INDEX sessions_by_device;
CREATE INDEX sessions_by_device ON sessions (lower(device)) INCLUDE (device);

-- Texts of one or two letters have no trigram: all of these that the text of an account contains.
CREATE FUNCTION short_parts(text text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg(substr(text, start, length))
    FROM generate_series(1, length(text)) AS start, generate_series(1, 2) AS length
$$;
CREATE INDEX users_short_parts ON users USING gin (short_parts(search_text)) WHERE deleted_at IS NULL;
