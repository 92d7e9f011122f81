DROP TABLE unnoted_ends;
