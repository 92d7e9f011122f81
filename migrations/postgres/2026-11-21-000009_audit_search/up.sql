-- Usernames that accounts had before, and until when: the audit log is searched by them as long as it has events of then.
CREATE TABLE former_usernames (
    username_key text NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id),
    until timestamptz NOT NULL,
    PRIMARY KEY (username_key, user_id)
);
CREATE INDEX former_usernames_until ON former_usernames (until);

-- Those that stand in the log already.
INSERT INTO former_usernames (username_key, user_id, until)
SELECT lower(named.username), named.user_id, max(named.at)
FROM (
    SELECT subject_username AS username, subject_id AS user_id, at FROM audit_events
    UNION ALL
    SELECT actor_username, actor_id, at FROM audit_events
) AS named
JOIN users ON users.id = named.user_id
WHERE lower(named.username) <> lower(users.username)
GROUP BY lower(named.username), named.user_id;

-- All that one request did.
CREATE INDEX audit_events_of_request ON audit_events (request_id, id DESC);
