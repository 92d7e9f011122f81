-- From where sign-ins were refused in each hour, counted in the transaction of each event.
CREATE TABLE failing_addresses (
    hour INTEGER NOT NULL,
    address TEXT NOT NULL,
    failures INTEGER NOT NULL,
    PRIMARY KEY (hour, address)
);
