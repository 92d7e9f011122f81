ALTER TABLE users RESET (fillfactor);
DROP TABLE unnoted_ends;
