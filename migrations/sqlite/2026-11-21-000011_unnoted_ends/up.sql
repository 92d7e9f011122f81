-- Ends of everyone's sessions that the history has not noted yet, or not of all.
CREATE TABLE unnoted_ends (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    roles TEXT NOT NULL,
    at INTEGER NOT NULL,
    ended_by TEXT NOT NULL,
    end_reason TEXT NOT NULL
);
