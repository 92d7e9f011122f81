-- From where sign-ins were refused in each hour, counted in the transaction of each event.
CREATE TABLE failing_addresses (
    hour timestamptz NOT NULL,
    address text NOT NULL,
    failures bigint NOT NULL,
    PRIMARY KEY (hour, address)
);
