-- Ends of everyone's sessions that the history has not noted yet, or not of all.
CREATE TABLE unnoted_ends (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    ended_by text NOT NULL,
    end_reason text NOT NULL
);
