ALTER TABLE lockouts DROP COLUMN pending;
