//! Who may act on whom, decided in the transaction of the act.

mod auth_context;

use super::Result;
use crate::domain::{Actor, Error, Role, User, UserId};
use crate::storage::accounts::users;
use crate::storage::database::AnyConnection;
use crate::storage::sessions::rows;
pub use auth_context::{AuthContext, RecentAuthContext, RecentProof};

/// The account that an administrator's act is about, and what it must still be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    id: UserId,
    /// One of these has to be its [`User::version`], else the act is refused as [`Error::Stale`].
    versions: Option<Vec<String>>,
}

impl From<UserId> for Subject {
    /// Whatever was changed meanwhile.
    fn from(id: UserId) -> Self {
        Self { id, versions: None }
    }
}

impl Subject {
    pub fn id(&self) -> UserId {
        self.id
    }

    /// Refuses an account that was changed since someone saw it.
    pub(super) fn check_version(&self, user: &User) -> Result<()> {
        match &self.versions {
            Some(versions) if !versions.contains(&user.version()) => Err(Error::Stale),
            _ => Ok(()),
        }
    }

    /// The account as someone saw it.
    pub fn seen(id: UserId, versions: Vec<String>) -> Self {
        Self { id, versions: Some(versions) }
    }
}

/// Who acts on whom, both as they are in this transaction.
pub(super) struct Authorized {
    pub actor: Actor,
    /// Locked, and within reach.
    pub user: User,
}

/// Lets somebody act on an account, as both are now.
pub(super) fn authorize_on(
    connection: &mut AnyConnection,
    auth: &AuthContext,
    subject: &Subject,
) -> Result<Authorized> {
    let on = users::lock(connection, subject.id)?.ok_or(Error::NotFound)?.user;
    let auth = recheck(connection, auth)?;
    auth.require_reach(&on)?;
    subject.check_version(&on)?;
    Ok(Authorized { actor: auth.actor, user: on })
}

/// The same for what only an administrator does.
pub(super) fn authorize_admin_on(
    connection: &mut AnyConnection,
    auth: &AuthContext,
    subject: &Subject,
) -> Result<Authorized> {
    recheck(connection, auth)?.require(Role::Admin)?;
    authorize_on(connection, auth, subject)
}

/// Who acts on no account, and whose own is locked in place of one: whoever ends its session has done so, and
/// is seen, or waits until the act is done.
pub(super) fn lock_and_recheck(connection: &mut AnyConnection, auth: &AuthContext) -> Result<AuthContext> {
    if let Actor::User { id, .. } = &auth.actor {
        users::lock(connection, *id)?;
    }
    recheck(connection, auth)
}

/// Who acts, with the name and the role of this moment. One who was demoted or suspended, or whose session ended,
/// since the request began gets no further: a body may be as slow as it likes, and a thief's is.
pub(super) fn recheck(connection: &mut AnyConnection, auth: &AuthContext) -> Result<AuthContext> {
    let Actor::User { id, .. } = &auth.actor else { return Ok(auth.clone()) };
    let user = users::by_id(connection, *id)?.ok_or(Error::NotSignedIn)?.user;
    if let Some(session) = auth.session
        && !rows::is_open(connection, &user, session)?
    {
        return Err(Error::NotSignedIn);
    }
    if !user.is_active() {
        return Err(Error::NotSignedIn);
    }
    Ok(AuthContext { actor: Actor::user(&user), role: auth.role.min(user.role), session: auth.session })
}
