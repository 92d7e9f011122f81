//! Who may act on whom, decided in the transaction of the act.

use super::{Result, Steward};
use crate::domain::{Actor, Error, Role, User, UserId};
use crate::storage::database::AnyConnection;
use crate::storage::sessions::rows;
use crate::storage::users;

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

    /// The account as someone saw it.
    pub fn seen(id: UserId, versions: Vec<String>) -> Self {
        Self { id, versions: Some(versions) }
    }
}

/// Who acts on whom, both as they are in this transaction.
pub(super) struct Act {
    pub by: Actor,
    /// Locked, and within reach.
    pub on: User,
}

/// A steward's act on an account.
pub(super) fn steered(connection: &mut AnyConnection, steward: &Steward, subject: &Subject) -> Result<Act> {
    let on = users::lock(connection, subject.id)?.ok_or(Error::NotFound)?.user;
    let steward = present_steward(connection, steward)?;
    steward.require_reach(&on)?;
    match &subject.versions {
        Some(versions) if !versions.contains(&on.version()) => Err(Error::Stale),
        _ => Ok(Act { by: steward.actor, on }),
    }
}

/// The same for what only an administrator does.
pub(super) fn administered(connection: &mut AnyConnection, steward: &Steward, subject: &Subject) -> Result<Act> {
    present_steward(connection, steward)?.require(Role::Admin)?;
    steered(connection, steward, subject)
}

/// The steward of an act on no account, whose own is locked in place of one: whoever ends its session has done so, and
/// is seen, or waits until the act is done.
pub(super) fn lock_steward(connection: &mut AnyConnection, steward: &Steward) -> Result<Steward> {
    if let Actor::User { id, .. } = &steward.actor {
        users::lock(connection, *id)?;
    }
    present_steward(connection, steward)
}

/// The steward with the name and the role of this moment. One who was demoted or suspended, or whose session ended,
/// since the request began gets no further: a body may be as slow as it likes, and a thief's is.
pub(super) fn present_steward(connection: &mut AnyConnection, steward: &Steward) -> Result<Steward> {
    let Actor::User { id, .. } = &steward.actor else { return Ok(steward.clone()) };
    let user = users::by_id(connection, *id)?.ok_or(Error::NotSignedIn)?.user;
    if let Some(session) = steward.session
        && !rows::is_open(connection, &user, session)?
    {
        return Err(Error::NotSignedIn);
    }
    if !user.is_active() {
        return Err(Error::NotSignedIn);
    }
    Ok(Steward { actor: Actor::user(&user), role: steward.role.min(user.role), session: steward.session })
}
