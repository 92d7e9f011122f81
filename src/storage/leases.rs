//! What one node does for all: it takes a lease, and the others leave the work to it until that ends.

use diesel::RunQueryDsl as _;
use diesel::sql_types::Text;

use super::database::AnyConnection;
use super::types::Moment;
use crate::domain::{Error, Timestamp};

/// Takes the lease until `until`; false where another node has it.
pub fn take(connection: &mut AnyConnection, name: &str, now: Timestamp, until: Timestamp) -> Result<bool, Error> {
    let query = "INSERT INTO leases (name, until) VALUES ($1, $2) \
                 ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE leases.until <= $3";
    let taken = diesel::sql_query(query)
        .bind::<Text, _>(name)
        .bind::<Moment, _>(until)
        .bind::<Moment, _>(now)
        .execute(connection)?;
    Ok(taken == 1)
}

/// Gives the lease back.
pub fn give_back(connection: &mut AnyConnection, name: &str) -> Result<(), Error> {
    diesel::sql_query("DELETE FROM leases WHERE name = $1").bind::<Text, _>(name).execute(connection)?;
    Ok(())
}
