//! How many sessions are open: counted each time where they are few, or once in a while for all.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::open::{open, open_in_index};
use crate::domain::{Role, SessionKind, Timestamp};
use crate::storage::Result;
use crate::storage::database::AnyConnection;
use crate::storage::schema::{figures, sessions, users};
use crate::storage::types::TimestampColumn;

/// So many rows are counted for a page; of more, a figure of a while ago is told.
const COUNTED: i64 = 5000;

/// A number that is exact where it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    pub value: i64,
    /// Else as it was when it was last counted.
    pub exact: bool,
}

/// Whose sessions a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    Everyone,
    /// Accounts with the role user: all that a manager reaches.
    Users,
}

/// How many sessions of that kind have not ended; `None` where they are many and were never counted.
pub fn figure(connection: &mut AnyConnection, kind: SessionKind, owners: Owners) -> Result<Option<Figure>> {
    let open = sessions::table.filter(open()).filter(sessions::kind.eq(kind));
    let few: Vec<i64> = open.select(1i64.into_sql::<BigInt>()).limit(COUNTED + 1).load(connection)?;
    let few = few.len() as i64;
    if few <= COUNTED {
        let value = match owners {
            Owners::Everyone => few,
            Owners::Users => {
                let of_users = open.inner_join(users::table).filter(users::role.eq(Role::User));
                of_users.select(count_star()).first(connection)?
            }
        };
        return Ok(Some(Figure { value, exact: true }));
    }
    let known: Option<i64> =
        figures::table.find(figure_of(kind, owners)).select(figures::value).first(connection).optional()?;
    let least = if owners == Owners::Everyone { few } else { 0 };
    Ok(known.map(|value| Figure { value: value.max(least), exact: false }))
}

/// Counts them all, for [`figure`] to tell from.
pub fn count_all(connection: &mut AnyConnection, kind: SessionKind) -> Result<[(Owners, i64); 2]> {
    let open = sessions::table.filter(open()).filter(sessions::kind.eq(kind));
    let all: i64 = open.select(count_star()).first(connection)?;
    // Those of the others are few, and found by their accounts: nobody is looked up for each of a million sessions.
    let above: Vec<Role> = Role::ALL.iter().copied().filter(|role| *role != Role::User).collect();
    let others = users::table.filter(users::deleted_at.is_null()).filter(users::role.eq_any(above)).select(users::id);
    let of_others = sessions::table
        .filter(sessions::user_id.eq_any(others))
        .filter(open_in_index())
        // So that the index of the kind does not serve it.
        .filter(sessions::kind.concat("").eq(kind.as_str()));
    let of_others: i64 = of_others.select(count_star()).first(connection)?;
    Ok([(Owners::Everyone, all), (Owners::Users, (all - of_others).max(0))])
}

/// Keeps what [`count_all`] has counted.
pub fn keep(
    connection: &mut AnyConnection,
    kind: SessionKind,
    (owners, value): (Owners, i64),
    now: Timestamp,
) -> Result<()> {
    let query = "INSERT INTO figures (name, value, at) VALUES ($1, $2, $3) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at";
    diesel::sql_query(query)
        .bind::<diesel::sql_types::Text, _>(figure_of(kind, owners))
        .bind::<BigInt, _>(value)
        .bind::<TimestampColumn, _>(now)
        .execute(connection)?;
    Ok(())
}

fn figure_of(kind: SessionKind, owners: Owners) -> &'static str {
    match (kind, owners) {
        (SessionKind::Browser, Owners::Everyone) => "open_browser_sessions",
        (SessionKind::Api, Owners::Everyone) => "open_api_sessions",
        (SessionKind::Browser, Owners::Users) => "open_browser_sessions_of_users",
        (SessionKind::Api, Owners::Users) => "open_api_sessions_of_users",
    }
}
