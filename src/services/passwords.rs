//! Passwords: changed, confirmed, reset, set.

use secrecy::SecretString;

use super::{Caller, NewSecret, Result, Services, Steward};
use crate::domain::audit::Client;
use crate::domain::{User, UserId};

impl Services {
    /// The password entered again on `/confirm`: the session gets a new secret and a new time of entry.
    pub async fn confirm_password(&self, caller: &Caller, password: &SecretString, client: &Client) -> Result<NewSecret> { todo!() }
    /// Ends all other sessions; this one gets a new secret.
    pub async fn change_password(&self, caller: &Caller, current: &SecretString, new: &SecretString, client: &Client) -> Result<NewSecret> { todo!() }
    /// Uses a reset link up: sets the password, ends all sessions.
    pub async fn reset_password(&self, token: &str, new: &SecretString, client: &Client) -> Result<User> { todo!() }
    /// The command line's: sets the password, ends all sessions.
    pub async fn set_password(&self, steward: &Steward, user: UserId, new: &SecretString, client: &Client) -> Result<User> { todo!() }
}
