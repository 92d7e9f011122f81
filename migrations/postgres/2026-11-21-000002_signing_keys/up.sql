-- Keys that sign access tokens. The private part is sealed under secret_key, and wiped when the key retires.
CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    algorithm text NOT NULL,
    state text NOT NULL,
    private_key bytea,
    public_jwk text NOT NULL,
    created_at timestamptz NOT NULL,
    active_from timestamptz,
    retired_at timestamptz
);
CREATE UNIQUE INDEX signing_keys_in_use ON signing_keys (state) WHERE state <> 'retired';
