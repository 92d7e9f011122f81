//! One function for each thing that the server can do. Pages, API and command line call the same ones; each writes
//! its audit event in the transaction that makes the change.
//!
//! A room for each subject, of one name in storage, services, pages and API, each built on those after it:
//!
//! - [`administration`]: what managers and administrators look at and do.
//! - [`accounts`]: opened, and looked after by their owners.
//! - [`authentication`]: who it is. Passwords compared and counted, signing in.
//! - [`sessions`]: of one account and of all, and the tokens that stand for them.
//!
//! [`audit`] searches the log that all of them write. Who may act on whom is [`authorization`]'s to say; what runs by itself
//! is [`maintenance`]. What they count is [`tally`], and [`metrics`] tells it.

pub mod accounts;
pub mod administration;
pub mod audit;
pub mod authentication;
pub mod authorization;
pub mod health;
pub mod maintenance;
pub mod metrics;
pub mod sessions;
pub mod tally;

use std::sync::Arc;

use crate::domain::keys::{RootKey, SessionHandle};
use crate::domain::{Clock, Error, Role, SessionId, User, UserId};
use crate::settings::{Effective, Settings};
use crate::storage::Database;
use crate::storage::sessions::SessionStore;
pub use authorization::{AuthContext, RecentAuthContext, RecentProof};

/// What a service gives back, or why it did not do it.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that a service needs. Cheap to clone, shared by all workers.
#[derive(Clone)]
pub struct Services {
    pub settings: Arc<Settings>,
    /// Every setting and where it came from, safe to show.
    pub effective: Arc<[Effective]>,
    pub clock: Clock,
    pub database: Database,
    pub try_out: Arc<health::TryOut>,
    pub clocks: Arc<health::Clocks>,
    pub sessions: SessionStore,
    pub hasher: authentication::hasher::Hasher,
    pub waiting_room: Arc<authentication::lockout::WaitingRoom>,
    pub exports: audit::Exports,
    pub root_key: RootKey,
    pub keys: sessions::signing_keys::KeyTable,
    pub verified_tokens: Arc<sessions::verified_tokens::VerifiedTokens>,
    pub backfill: Arc<sessions::history::Backfill>,
    pub tally: tally::Tally,
}

/// A signed-in caller: what the store said of the session that the request came with.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub role: Role,
}

/// A sign-in that succeeded: the account, and the handle that goes into the cookie.
pub struct SignedIn {
    pub user: User,
    pub handle: SessionHandle,
    pub remember: bool,
}

/// A session that got a new secret. Where `delivered` is an error, SQL has the new secret but Redis could not be told:
/// the answer is 503, and still sets the new cookie.
pub struct NewSecret {
    pub handle: SessionHandle,
    pub remember: bool,
    pub delivered: Result<()>,
}
