-- What a search looks into: username, e-mail and name as the server folds them, a line each.
ALTER TABLE users ADD COLUMN search_text TEXT NOT NULL DEFAULT '';
UPDATE users SET search_text = lower(username || char(10) || email || char(10) || coalesce(name, ''))
WHERE deleted_at IS NULL;

-- A search for a part of a name reads one of these from end to end, in the order of the list, and no row that it does
-- not show.
CREATE INDEX users_by_username ON users (username_key, search_text, role, status) WHERE deleted_at IS NULL;
CREATE INDEX users_by_creation ON users (created_at, id, search_text, role, status) WHERE deleted_at IS NULL;
