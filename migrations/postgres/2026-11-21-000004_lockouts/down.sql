DROP TABLE lockouts;
