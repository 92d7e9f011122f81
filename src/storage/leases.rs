//! What one node does for all: it takes a lease, and the others leave the work to it until that ends.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::database::AnyConnection;
use super::schema::leases;
use super::types::TimestampColumn;
use crate::domain::Timestamp;
use crate::storage::Result;

/// A lease, as this node has it. Its end tells it from that of any other: whoever has it next took it after that end,
/// and so until later.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    name: &'static str,
    until: Timestamp,
}

impl Lease {
    /// Takes the lease until `until`, later than `now`; `None` where another node has it.
    pub fn take(
        connection: &mut AnyConnection,
        name: &'static str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Self>> {
        let query = "INSERT INTO leases (name, until) VALUES ($1, $2) \
                     ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE leases.until <= $3";
        let taken = diesel::sql_query(query)
            .bind::<Text, _>(name)
            .bind::<TimestampColumn, _>(until)
            .bind::<TimestampColumn, _>(now)
            .execute(connection)?;
        Ok((taken == 1).then_some(Self { name, until }))
    }

    /// The same until later; `None` where another node has taken it meanwhile.
    pub fn renew(self, connection: &mut AnyConnection, until: Timestamp) -> Result<Option<Self>> {
        let own = leases::table.find(self.name).filter(leases::until.eq(self.until));
        let renewed = diesel::update(own).set(leases::until.eq(until)).execute(connection)?;
        Ok((renewed == 1).then_some(Self { until, ..self }))
    }

    /// Gives it back, unless another node has taken it meanwhile.
    pub fn give_back(self, connection: &mut AnyConnection) -> Result<()> {
        let own = leases::table.find(self.name).filter(leases::until.eq(self.until));
        diesel::delete(own).execute(connection)?;
        Ok(())
    }
}
