-- What a search looks into: username, e-mail and name as the server folds them, a line each.
ALTER TABLE users ADD COLUMN search_text text NOT NULL DEFAULT '';
UPDATE users SET search_text = lower(username || chr(10) || email || chr(10) || coalesce(name, ''))
WHERE deleted_at IS NULL;

CREATE INDEX users_by_creation ON users (created_at, id) WHERE deleted_at IS NULL;

-- Finds a part of a name among very many accounts. Where the extension may not be had, a search reads all of them.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX users_search ON users USING gin (search_text gin_trgm_ops) WHERE deleted_at IS NULL;
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file OR undefined_object THEN
    RAISE NOTICE 'without the extension pg_trgm a search for users takes longer';
END
$$;
