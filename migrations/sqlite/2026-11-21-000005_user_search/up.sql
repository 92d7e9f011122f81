-- What a search looks into: username, e-mail and name as the server folds them, a line each.
ALTER TABLE users ADD COLUMN search_text TEXT NOT NULL DEFAULT '';
UPDATE users SET search_text = lower(username || char(10) || email || char(10) || coalesce(name, ''))
WHERE deleted_at IS NULL;

-- Three letters each of it, and whose they are. Kept by triggers, whoever writes.
CREATE VIRTUAL TABLE users_search USING fts5 (id UNINDEXED, search_text, tokenize = 'trigram', detail = 'none');
INSERT INTO users_search (id, search_text) SELECT id, search_text FROM users WHERE deleted_at IS NULL;
CREATE TRIGGER users_search_insert AFTER INSERT ON users BEGIN
    INSERT INTO users_search (id, search_text) VALUES (new.id, new.search_text);
END;
CREATE TRIGGER users_search_update AFTER UPDATE OF search_text ON users WHEN new.search_text <> old.search_text BEGIN
    DELETE FROM users_search WHERE id = old.id;
    INSERT INTO users_search (id, search_text) SELECT new.id, new.search_text WHERE new.deleted_at IS NULL;
END;

-- Each filter in each order that a list has; without a filter, usernames have the index of their constraint.
CREATE INDEX users_created ON users (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX users_of_role ON users (role, username_key) WHERE deleted_at IS NULL;
CREATE INDEX users_of_role_created ON users (role, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX users_of_status ON users (status, username_key) WHERE deleted_at IS NULL;
CREATE INDEX users_of_status_created ON users (status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX users_of_both ON users (role, status, username_key) WHERE deleted_at IS NULL;
CREATE INDEX users_of_both_created ON users (role, status, created_at, id) WHERE deleted_at IS NULL;
DROP INDEX users_administrators;
