//! Sessions: listed and ended.

use super::{Caller, Result, Services, Steward};
use crate::domain::audit::Client;
use crate::domain::keys::SessionHandle;
use crate::domain::session::LiveSession;
use crate::domain::{Session, SessionId, UserId};

/// How many other sessions there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts {
    pub browser: i64,
    pub api: i64,
}

impl Services {
    /// The session that the handle opens, or `None`: ended, expired, unknown, or an older secret.
    pub async fn load(&self, handle: &SessionHandle) -> Result<Option<LiveSession>> { todo!() }
    /// The account's live sessions, last active first, at most `limit`, and how many there are in all.
    pub async fn sessions_of(&self, user: UserId, limit: i64) -> Result<(Vec<Session>, SessionCounts)> { todo!() }
    /// Ends one of the caller's own sessions; another's or an unknown one is [`crate::domain::Error::NotFound`].
    pub async fn end_own_session(&self, caller: &Caller, id: SessionId, client: &Client) -> Result<()> { todo!() }
    /// Ends all the caller's sessions but this one; says how many.
    pub async fn end_other_sessions(&self, caller: &Caller, client: &Client) -> Result<u64> { todo!() }

    /// Live sessions with the username of each, of one account or of all.
    pub async fn all_sessions(&self, user: Option<UserId>) -> Result<Vec<(Session, String)>> { todo!() }
    pub async fn end_session(&self, steward: &Steward, id: SessionId, client: &Client) -> Result<()> { todo!() }
    /// Ends all sessions of one account, or of all; says how many.
    pub async fn end_all_sessions(&self, steward: &Steward, user: Option<UserId>, client: &Client) -> Result<u64> { todo!() }
}
