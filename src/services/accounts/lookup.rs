//! Accounts by what names them.

use std::sync::Arc;

use crate::domain::{Error, NameKey, OwnAccount, User, UserId};
use crate::services::authentication::lockout;
use crate::services::{Result, Services};
use crate::storage::Database;
use crate::storage::accounts::users;
use crate::storage::authentication::lockouts;

/// The account, or [`Error::NotFound`].
pub async fn by_id(database: &Database, id: UserId) -> Result<User> {
    let found = database.read(move |connection| users::by_id(connection, id)).await?;
    Ok(found.ok_or(Error::NotFound)?.user)
}

/// The account of somebody who is signed in, or [`Error::NotFound`]. Asked for with each request, so it is remembered
/// until something of it changes.
pub async fn own(services: &Services, id: UserId) -> Result<Arc<OwnAccount>> {
    if let Some(known) = services.sessions.account(id) {
        return Ok(known);
    }
    let ticket = services.sessions.ticket(id);
    let rule = lockout::rule(services);
    let read = move |connection: &mut _| {
        let found = users::by_id(connection, id)?.ok_or(Error::NotFound)?;
        let locks = lockouts::locks_of(connection, &[id], rule)?;
        Ok(OwnAccount { user: found.user, lock: locks.into_iter().map(|(_, until)| until).max() })
    };
    let account = Arc::new(services.database.read(read).await?);
    if let Some(ticket) = ticket {
        services.sessions.remember_account(ticket, account.clone());
    }
    Ok(account)
}

/// By username, e-mail or id, in any spelling that means the same.
pub async fn find(database: &Database, name: &str) -> Result<User> {
    if let Ok(id) = name.parse() {
        return by_id(database, id).await;
    }
    let key = NameKey::of_typed(name).ok_or(Error::NotFound)?;
    let found = database.read(move |connection| users::by_name(connection, &key)).await?;
    Ok(found.ok_or(Error::NotFound)?.user)
}
