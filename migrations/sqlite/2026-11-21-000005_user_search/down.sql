DROP INDEX users_by_creation;
DROP INDEX users_by_username;
ALTER TABLE users DROP COLUMN search_text;
