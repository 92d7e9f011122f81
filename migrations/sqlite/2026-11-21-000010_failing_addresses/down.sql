DROP TABLE failing_addresses;
