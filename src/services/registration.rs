//! People who create their own account.

use super::accounts::NewAccount;
use super::{Caller, Result, Services, SignedIn};
use crate::domain::audit::Client;

impl Services {
    /// Whether `/register` is open: the setting says so and an administrator exists.
    pub async fn registration_open(&self) -> Result<bool> { todo!() }
    /// Creates the account with role `user` and signs in. `replaces` is the browser's earlier session, which ends.
    pub async fn register(&self, account: NewAccount, replaces: Option<&Caller>, client: &Client) -> Result<SignedIn> { todo!() }
}
