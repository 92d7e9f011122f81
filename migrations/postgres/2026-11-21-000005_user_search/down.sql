DROP INDEX IF EXISTS users_search;
DROP INDEX users_by_creation;
ALTER TABLE users DROP COLUMN search_text;
