//! Signing in and out.

use secrecy::SecretString;

use super::{Caller, Result, Services, SignedIn};
use crate::domain::audit::Client;

impl Services {
    /// Checks the password of the account with that username or e-mail, and opens a session.
    /// `replaces` is the browser's earlier session, which ends.
    pub async fn sign_in(&self, name: &str, password: &SecretString, remember: bool, replaces: Option<&Caller>, client: &Client) -> Result<SignedIn> { todo!() }
    /// Ends the caller's session.
    pub async fn sign_out(&self, caller: &Caller, client: &Client) -> Result<()> { todo!() }
}
