//! One function for each thing that the server can do. Pages, API and command line call the same ones; each writes
//! its audit event in the transaction that makes the change.

pub mod accounts;
pub mod hasher;
pub mod links;
pub mod passwords;
pub mod registration;
pub mod sessions;
pub mod setup;
pub mod sign_in;

use std::sync::Arc;

use crate::domain::keys::{RootKey, SessionHandle};
use crate::domain::{Actor, Clock, Error, Role, SessionId, User, UserId};
use crate::settings::Settings;
use crate::storage::Database;
use crate::storage::sessions::SessionStore;

/// What a service gives back, or why it did not do it.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that a service needs. Cheap to clone, shared by all workers.
#[derive(Clone)]
pub struct Services {
    pub settings: Arc<Settings>,
    pub clock: Clock,
    pub database: Database,
    pub sessions: SessionStore,
    pub hasher: hasher::Hasher,
    pub root_key: RootKey,
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

/// Who may do what an administrator's service does: the command line, or an account with its role.
#[derive(Clone, Debug)]
pub struct Steward {
    pub actor: Actor,
    /// The command line acts with the role of an administrator.
    pub role: Role,
}
