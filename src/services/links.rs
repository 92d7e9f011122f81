//! One-time links: made, looked at (never consumed by a GET), used up by a POST.

use super::{Result, Services, Steward};
use crate::domain::audit::Client;
use crate::domain::link::OneTimeLink;
use crate::domain::{Timestamp, User, UserId};

impl Services {
    /// A link with which the account's owner chooses a password; earlier ones of the account are void.
    pub async fn issue_reset_link(&self, steward: &Steward, user: UserId, client: &Client) -> Result<OneTimeLink> { todo!() }
    /// Whose link it is and until when; [`crate::domain::Error::LinkGone`] if used, replaced, expired or unknown.
    pub async fn reset_link(&self, token: &str) -> Result<(User, Timestamp)> { todo!() }
    /// A link that creates the first administrator; earlier ones are void.
    pub async fn issue_setup_link(&self) -> Result<OneTimeLink> { todo!() }
    /// Until when the link is good; [`crate::domain::Error::LinkGone`] likewise, and once an administrator exists.
    pub async fn setup_link(&self, token: &str) -> Result<Timestamp> { todo!() }
}
