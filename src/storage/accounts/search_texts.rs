//! Texts of accounts for searching that were written in an earlier form: [`search_text`] has changed since, or a server
//! of before still runs beside this one.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::domain::lookup::search_text;
use crate::domain::{EmailAddress, UserId, Username};
use crate::storage::Result;
use crate::storage::database::AnyConnection;
use crate::storage::schema::users;

/// What no text of the present form is: it has a final sigma, or an international domain without the line that has it as
/// people write it. Literally the condition of the index, which so has nothing but what is left to do.
const IS_STALE: &str = "(search_text LIKE '%ς%' OR (email LIKE '%@%xn--%' AND search_text NOT LIKE '%\n%\n%\n%'))";

/// Writes at most `most` of them anew, and says how many it wrote.
pub fn refresh(connection: &mut AnyConnection, most: i64) -> Result<usize> {
    type Columns = (UserId, String, String, Option<String>, String);
    let stale: Vec<Columns> = users::table
        .filter(users::deleted_at.is_null())
        .filter(sql::<Bool>(IS_STALE))
        .select((users::id, users::username, users::email, users::name, users::search_text))
        .limit(most)
        .load(connection)?;
    let mut refreshed = 0;
    for (id, username, email, name, old) in stale {
        let names = (Username::from_stored(username), EmailAddress::from_stored(email));
        let text = search_text(&names.0, &names.1, name.as_deref());
        // Unless somebody has renamed the account meanwhile.
        let row = users::table.find(id).filter(users::search_text.eq(old));
        refreshed += diesel::update(row).set(users::search_text.eq(text)).execute(connection)?;
    }
    Ok(refreshed)
}
