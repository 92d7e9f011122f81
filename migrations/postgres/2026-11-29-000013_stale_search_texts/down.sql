DROP INDEX users_stale_search_text;
