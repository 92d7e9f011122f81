//! The text that a list is searched for.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::domain::UserId;
use crate::domain::lookup::search_form;
use crate::storage::Result;
use crate::storage::database::{AnyConnection, MultiBackend};
use crate::storage::functions::lower;
use crate::storage::schema::{sessions, users};
use crate::storage::text_search::{contains, few_candidates};

/// So many matches are read and sorted; more are walked to.
const SORTED: i64 = 2000;
/// So many accounts are searched for one by one.
const ACCOUNTS: i64 = 200;

type Sessions<'a> = diesel::helper_types::IntoBoxed<'a, sessions::table, MultiBackend>;

/// What is looked for, in the forms in which it is compared.
pub(super) struct Needle {
    /// What begins with it is not below this, and below `end`.
    start: String,
    end: String,
    /// In the form in which accounts are searched for.
    text: String,
    /// Matches what contains it.
    pub part: String,
    /// Matches what begins with it.
    pub prefix: String,
}

impl Needle {
    pub fn new(q: &str) -> Self {
        let text = q.to_ascii_lowercase();
        // No text continues with the last character there is.
        let prefix = contains(&text)[1..].to_owned();
        let folded = search_form(q);
        Self { part: contains(&folded), text: folded, prefix, end: format!("{text}\u{10FFFF}"), start: text }
    }

    /// Sessions of clients whose address begins with it.
    pub fn addresses(&self) -> Sessions<'_> {
        let range = sessions::address.ge(&self.start).and(sessions::address.lt(&self.end));
        sessions::table.filter(range).into_boxed()
    }

    /// Sessions on devices whose name begins with it.
    pub fn devices(&self) -> Sessions<'_> {
        let range = lower(sessions::device).ge(&self.start).and(lower(sessions::device).lt(&self.end));
        sessions::table.filter(range).into_boxed()
    }

    /// The accounts that match, if all that matches is little.
    pub fn few(&self, connection: &mut AnyConnection) -> Result<Option<Vec<UserId>>> {
        let one = || 1i64.into_sql::<BigInt>();
        let by_address = self.addresses().select(one()).limit(SORTED + 1);
        let by_device = self.devices().select(one()).limit(SORTED + 1);
        let clients = by_address.load::<i64>(connection)?.len() + by_device.load::<i64>(connection)?.len();
        // The accounts take the longest to look through.
        if clients as i64 > SORTED {
            return Ok(None);
        }
        let mut accounts = users::table
            .filter(users::deleted_at.is_null())
            // Says nothing new, but lets the index of usernames be read, which has the text.
            .filter(users::username_key.is_not_null())
            .filter(users::search_text.like(&self.part).escape('\\'))
            .order(users::username_key)
            .select(users::id)
            .limit(ACCOUNTS + 1)
            .into_boxed::<MultiBackend>();
        if let Some(candidates) = few_candidates(connection, &self.text)? {
            accounts = accounts.filter(users::id.eq_any(candidates));
        }
        let accounts: Vec<UserId> = accounts.load(connection)?;
        if accounts.len() as i64 > ACCOUNTS {
            return Ok(None);
        }
        let theirs = sessions::table.filter(sessions::user_id.eq_any(&accounts)).select(one()).limit(SORTED + 1);
        let total = clients + theirs.load::<i64>(connection)?.len();
        Ok((total as i64 <= SORTED).then_some(accounts))
    }
}
