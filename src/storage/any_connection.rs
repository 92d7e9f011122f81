//! A connection to either kind of database.

use diesel::prelude::*;

use super::postgres::PgConnection;

/// One connection to whichever database the settings name. Queries are written once, for both.
#[derive(diesel::MultiConnection)]
#[expect(clippy::large_enum_variant, reason = "there are as many as the pool has connections")]
pub enum AnyConnection {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}
