//! Facts about this installation that every node must agree on.

use diesel::prelude::*;

use super::database::AnyConnection;
use super::schema::installation;
use crate::storage::Result;

const SECRET_KEY: &str = "secret_key_fingerprint";

/// The fingerprint of the first node's `secret_key`; this node's own, if it is the first.
pub fn secret_key_fingerprint(connection: &mut AnyConnection, own: &str) -> Result<String> {
    let known = installation::table.find(SECRET_KEY).select(installation::value);
    if let Some(known) = known.first::<String>(connection).optional()? {
        return Ok(known);
    }
    // Two first nodes at once: one insert does nothing, and both read what stands.
    diesel::sql_query("INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind::<diesel::sql_types::Text, _>(SECRET_KEY)
        .bind::<diesel::sql_types::Text, _>(own)
        .execute(connection)?;
    Ok(known.first(connection)?)
}
