//! The contract of sessions, kept with Redis and without it; callers never know which.
//!
//! SQL is the truth ([`rows`]). Whoever changes it does so in one transaction, with the feed's rows ([`changes`]), and
//! then says here what changed ([`SessionStore::invalidate`]). A request asks [`SessionStore::load`]; a refresh token is
//! [rotated](rotation).
//!
//! - Without Redis ([`sql`]) the row is the record itself.
//! - With Redis ([`redis`]) a request asks a copy, in one script on one node. The seven rules that keep the copy
//!   from ever saying more than SQL are told there.

pub mod account;
pub mod change_kind;
pub mod changes;
pub mod counts;
pub mod everyone;
pub mod expiry;
mod fields;
pub mod history;
mod memory;
pub mod open;
pub mod redis;
pub mod rotation;
pub mod rows;
pub mod search;
pub mod signing_keys;
pub mod snapshot;
mod sql;
mod sqlite_watch;
pub mod unclaimed;

use std::sync::Arc;

use chrono::TimeDelta;

pub use self::changes::Change;
use self::memory::Memory;
pub use self::memory::Ticket;
pub use self::redis::RedisSessions;
pub use self::rotation::Rotation;
pub use self::sql::SqlSessions;
use crate::domain::keys::SecretHash;
use crate::domain::session::LiveSession;
use crate::domain::{OwnAccount, SessionId, Timestamp, UserId};
use crate::storage::Result;
use crate::telemetry::metrics::{Counter, Lookups};

/// The last activity is written at most this often.
pub const TOUCH_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// By how much SQL may know the last activity too early: a minute until Redis is touched, and one until the batch.
pub const ACTIVITY_LAG: TimeDelta = TimeDelta::minutes(2);

/// Where requests ask whether a session lives. Cheap to clone.
#[derive(Clone)]
pub enum SessionStore {
    Sql(SqlSessions),
    Redis(RedisSessions),
}

/// How often what is remembered or copied was the answer. A cache that may not be believed, or isn't there, has none.
#[derive(Clone, Default)]
pub struct Caches {
    /// Sessions that this process remembers.
    pub sessions: Lookups,
    /// The same of accounts.
    pub accounts: Lookups,
    /// Copies of sessions in Redis; asked where the process remembers none.
    pub copies: Lookups,
}

impl SessionStore {
    /// What was counted of the caches.
    pub fn caches(&self) -> &Caches {
        match self {
            Self::Sql(store) => &store.caches,
            Self::Redis(store) => store.caches(),
        }
    }

    /// How often Redis did not do in time what it was asked; `None` where there is none.
    pub fn redis_errors(&self) -> Option<&Counter> {
        match self {
            Self::Sql(_) => None,
            Self::Redis(store) => Some(store.errors()),
        }
    }

    /// The session, if it lives at `now` and this is its present secret. Touches it at most once a minute.
    pub async fn load(
        &self,
        user: UserId,
        session: SessionId,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<LiveSession>> {
        match self {
            Self::Sql(store) => store.load(user, session, Some(secret), now).await,
            Self::Redis(store) => store.load(user, session, Some(secret), now).await,
        }
    }

    /// The same for a caller who has no secret, and has proved otherwise that the session was opened for it.
    pub async fn load_by_id(&self, user: UserId, session: SessionId, now: Timestamp) -> Result<Option<LiveSession>> {
        match self {
            Self::Sql(store) => store.load(user, session, None, now).await,
            Self::Redis(store) => store.load(user, session, None, now).await,
        }
    }

    /// What is remembered of the account, where nothing has changed there since.
    pub fn account(&self, user: UserId) -> Option<Arc<OwnAccount>> {
        let known = self.memory().and_then(|memory| memory.account(user));
        self.caches().accounts.count(known.is_some());
        known
    }

    /// To be taken before an account is read that shall be remembered; `None` where nothing can be.
    pub fn ticket(&self, user: UserId) -> Option<Ticket> {
        self.memory().map(|memory| memory.ticket(user))
    }

    /// Remembers an account that was read after the ticket was taken.
    pub fn remember_account(&self, ticket: Ticket, account: Arc<OwnAccount>) {
        if let Some(memory) = self.any_memory() {
            memory.remember_account(ticket, account);
        }
    }

    /// Something that ends nothing has changed in the account, as its last sign-in: what was remembered of it is read again.
    /// Here at once; elsewhere too, or within a minute where Redis can't be told.
    pub fn account_changed(&self, user: UserId) {
        match self {
            Self::Sql(store) => {
                if let Some(memory) = store.any_memory() {
                    memory.forget_account(user);
                }
            }
            Self::Redis(store) => store.account_changed(user),
        }
    }

    fn memory(&self) -> Option<&Memory> {
        match self {
            Self::Sql(store) => store.memory(),
            Self::Redis(store) => store.memory(),
        }
    }

    fn any_memory(&self) -> Option<&Memory> {
        match self {
            Self::Sql(store) => store.any_memory(),
            Self::Redis(store) => Some(store.any_memory()),
        }
    }

    /// Takes what a committed transaction ended or changed out of every copy. After an error SQL has it all the same,
    /// and the feed brings it to every node within a second of the store's return.
    pub async fn invalidate(&self, changes: &[Change]) -> Result<()> {
        match self {
            Self::Sql(_) => Ok(()),
            Self::Redis(store) => store.invalidate(changes).await,
        }
    }
}
