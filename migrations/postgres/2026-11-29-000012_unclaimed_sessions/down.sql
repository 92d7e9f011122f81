DROP INDEX sessions_unclaimed;
