//! The first administrator.

use super::accounts::NewAccount;
use super::{Result, Services, SignedIn};
use crate::domain::audit::Client;
use crate::domain::{User};

impl Services {
    /// Whether an active administrator exists. Registration is closed until then.
    pub async fn administrator_exists(&self) -> Result<bool> { todo!() }
    /// Consumes the link, creates the administrator and signs in.
    pub async fn complete_setup(&self, token: &str, account: NewAccount, client: &Client) -> Result<SignedIn> { todo!() }
    /// Creates the administrator that the `bootstrap_admin_*` settings describe, if none exists.
    pub async fn bootstrap(&self) -> Result<Option<User>> { todo!() }
}
