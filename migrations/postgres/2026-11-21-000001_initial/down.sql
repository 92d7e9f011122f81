DROP TABLE installation;
DROP TABLE one_time_links;
DROP TABLE audit_events;
DROP TABLE changes;
DROP TABLE sessions;
DROP TABLE users;
