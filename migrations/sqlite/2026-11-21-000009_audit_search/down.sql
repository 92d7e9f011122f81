DROP INDEX audit_events_of_request;
DROP TABLE former_usernames;
