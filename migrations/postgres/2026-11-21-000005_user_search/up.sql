-- What a search looks into: username, e-mail and name as the server folds them, a line each.
ALTER TABLE users ADD COLUMN search_text text NOT NULL DEFAULT '';
UPDATE users SET search_text = lower(username || chr(10) || email || chr(10) || coalesce(name, ''))
WHERE deleted_at IS NULL;

-- Three letters each of it. Where the extension may not be had, a search reads all accounts.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX users_search ON users USING gin (search_text gin_trgm_ops) WHERE deleted_at IS NULL;
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file OR undefined_object THEN
    RAISE NOTICE 'without the extension pg_trgm a search for users takes longer';
END
$$;

-- Each filter in each order that a list has; without a filter, usernames have the index of their constraint.
CREATE INDEX users_created ON users (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX users_of_role ON users (role, username_key) WHERE deleted_at IS NULL;
CREATE INDEX users_of_role_created ON users (role, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX users_of_status ON users (status, username_key) WHERE deleted_at IS NULL;
CREATE INDEX users_of_status_created ON users (status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX users_of_both ON users (role, status, username_key) WHERE deleted_at IS NULL;
CREATE INDEX users_of_both_created ON users (role, status, created_at, id) WHERE deleted_at IS NULL;
DROP INDEX users_administrators;
