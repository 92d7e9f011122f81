//! Accounts by what names them.

use crate::domain::{Error, NameKey, User, UserId};
use crate::services::{Result, Services};
use crate::storage::accounts::users;

impl Services {
    /// The account, or [`Error::NotFound`].
    pub async fn user(&self, id: UserId) -> Result<User> {
        let found = self.database.read(move |connection| users::by_id(connection, id)).await?;
        Ok(found.ok_or(Error::NotFound)?.user)
    }

    /// By username, e-mail or id, in any spelling that means the same.
    pub async fn find_user(&self, name: &str) -> Result<User> {
        if let Ok(id) = name.parse() {
            return self.user(id).await;
        }
        let key = NameKey::of_typed(name).ok_or(Error::NotFound)?;
        let found = self.database.read(move |connection| users::by_name(connection, &key)).await?;
        Ok(found.ok_or(Error::NotFound)?.user)
    }
}
