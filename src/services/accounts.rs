//! Accounts: looked up and edited by their owner, created and steered by administrators.

use super::{Caller, Result, Services, Steward};
use crate::domain::audit::{AuditEvent, Client};
use crate::domain::link::OneTimeLink;
use crate::domain::{Role, User, UserId};

/// What a form or body said of a new account, as it was typed.
pub struct NewAccount {
    pub username: String,
    pub email: String,
    pub name: Option<String>,
    /// In clear; checked against the policy by the service.
    pub password: secrecy::SecretString,
}

/// An own profile as it shall be. `None` leaves a field; an empty name removes it.
pub struct ProfileChange {
    pub name: Option<String>,
    pub email: Option<String>,
    /// Needed where the e-mail changes.
    pub current_password: Option<secrecy::SecretString>,
}

impl Services {
    /// The account, or [`crate::domain::Error::NotFound`].
    pub async fn user(&self, id: UserId) -> Result<User> { todo!() }
    /// By username, e-mail or id, in any spelling that means the same.
    pub async fn find_user(&self, name: &str) -> Result<User> { todo!() }
    /// Accounts by username, at most `limit`, after `after`.
    pub async fn users(&self) -> Result<Vec<User>> { todo!() }
    pub async fn update_profile(&self, caller: &Caller, change: ProfileChange, client: &Client) -> Result<User> { todo!() }
    /// The newest security events of which the account is actor or subject, newest first, older than `before`.
    pub async fn activity(&self, user: UserId, before: Option<crate::domain::EventId>, limit: i64) -> Result<Vec<AuditEvent>> { todo!() }

    /// Creates an account without a password, and the link with which its owner chooses one.
    pub async fn create_user(&self, steward: &Steward, username: &str, email: &str, name: Option<&str>, role: Role, client: &Client) -> Result<(User, OneTimeLink)> { todo!() }
    pub async fn set_role(&self, steward: &Steward, user: UserId, role: Role, client: &Client) -> Result<User> { todo!() }
    pub async fn suspend(&self, steward: &Steward, user: UserId, client: &Client) -> Result<User> { todo!() }
    pub async fn reinstate(&self, steward: &Steward, user: UserId, client: &Client) -> Result<User> { todo!() }
    pub async fn delete_user(&self, steward: &Steward, user: UserId, client: &Client) -> Result<()> { todo!() }
}
