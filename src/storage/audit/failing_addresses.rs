//! From where sign-ins are refused: counted by address and hour, in the transaction of each event.
//!
//! Addresses can be had without end, so of each hour no more than [`KEPT`] have a count. When another comes, one of those
//! with the fewest failures gives its place up: whoever goes on failing stays, however many come once. A count is never
//! more than there were.

use std::net::IpAddr;

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::domain::Timestamp;
use crate::domain::network::counted_name;
use crate::storage::Result;
use crate::storage::database::AnyConnection;
use crate::storage::schema::failing_addresses;
use crate::storage::types::TimestampColumn;

/// Addresses of one hour.
const KEPT: i64 = 200;

/// An address, or a network of IPv6, and how many sign-ins from there were refused.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct FailingAddress {
    #[diesel(sql_type = Text)]
    pub address: String,
    #[diesel(sql_type = BigInt)]
    pub failures: i64,
}

/// Counts a refusal. The transaction has locked the hour, so those of one hour are counted one after another.
pub fn count(connection: &mut AnyConnection, address: IpAddr, hour: Timestamp) -> Result<()> {
    let address = counted_name(address);
    let known = diesel::update(failing_addresses::table.find((hour, &address)))
        .set(failing_addresses::failures.eq(failing_addresses::failures + 1))
        .execute(connection)?;
    if known == 1 {
        return Ok(());
    }
    let of_hour = failing_addresses::table.filter(failing_addresses::hour.eq(hour));
    if of_hour.select(count_star()).first::<i64>(connection)? >= KEPT {
        // Any of them, or the same place would be given up again and again.
        diesel::sql_query(
            "DELETE FROM failing_addresses WHERE hour = $1 AND address = \
             (SELECT address FROM failing_addresses WHERE hour = $1 ORDER BY failures, random() LIMIT 1)",
        )
        .bind::<TimestampColumn, _>(hour)
        .execute(connection)?;
    }
    diesel::insert_into(failing_addresses::table)
        .values((
            failing_addresses::hour.eq(hour),
            failing_addresses::address.eq(address),
            failing_addresses::failures.eq(1),
        ))
        .execute(connection)?;
    Ok(())
}

/// At most `limit` addresses from where most was refused in the hours since `since`, the worst first.
pub fn worst(connection: &mut AnyConnection, since: Timestamp, limit: i64) -> Result<Vec<FailingAddress>> {
    let query = "SELECT address, CAST(sum(failures) AS BIGINT) AS failures FROM failing_addresses \
                 WHERE hour >= $1 GROUP BY address ORDER BY 2 DESC, address LIMIT $2";
    Ok(diesel::sql_query(query).bind::<TimestampColumn, _>(since).bind::<BigInt, _>(limit).load(connection)?)
}

/// Forgets hours before `limit`.
pub fn prune(connection: &mut AnyConnection, limit: Timestamp) -> Result<usize> {
    let old = failing_addresses::table.filter(failing_addresses::hour.lt(limit));
    Ok(diesel::delete(old).execute(connection)?)
}
