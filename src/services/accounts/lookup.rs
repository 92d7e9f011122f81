//! Accounts by what names them.

use crate::domain::{Error, NameKey, User, UserId};
use crate::services::Result;
use crate::storage::Database;
use crate::storage::accounts::users;

/// The account, or [`Error::NotFound`].
pub async fn by_id(database: &Database, id: UserId) -> Result<User> {
    let found = database.read(move |connection| users::by_id(connection, id)).await?;
    Ok(found.ok_or(Error::NotFound)?.user)
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
