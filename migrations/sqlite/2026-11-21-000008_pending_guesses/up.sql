-- Guesses that are under way: neither failures yet nor forgiven.
ALTER TABLE lockouts ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;
