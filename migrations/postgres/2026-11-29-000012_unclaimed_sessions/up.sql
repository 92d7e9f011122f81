-- A browser's session that was not active since its password was entered is one whose cookie nobody has shown. Of those that
-- there are it isn't known: an activity within a minute was not noted.
UPDATE sessions SET last_active_at = password_entered_at + interval '1 millisecond'
WHERE ended_at IS NULL AND kind = 'browser' AND last_active_at <= password_entered_at;

-- Few at any time, and looked for once a minute.
CREATE INDEX sessions_unclaimed ON sessions (password_entered_at)
WHERE ended_at IS NULL AND kind = 'browser' AND last_active_at <= password_entered_at;
