-- Accounts whose text for searching is of an earlier form: without the line that has an international domain as people write
-- it, or with the final form of a sigma. SQL can't spell a domain; the sweep of a server writes these anew, some at a time.
CREATE INDEX users_stale_search_text ON users (id)
WHERE deleted_at IS NULL AND (search_text LIKE '%ς%' OR (email LIKE '%@%xn--%' AND search_text NOT LIKE '%
%
%
%'));
