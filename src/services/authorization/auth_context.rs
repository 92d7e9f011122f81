//! Who acts, with which role, and from which session: for pages, API and command line alike.

use crate::domain::{Actor, Error, Role, SessionId, User};
use crate::services::Result;

/// Who may do what an administrator's service does: the command line, or an account with its role.
#[derive(Clone, Debug)]
pub struct AuthContext {
    pub actor: Actor,
    /// The command line acts with the role of an administrator. Of an account it is what the request found; acts look
    /// again when they are done.
    pub role: Role,
    /// The session that it acts in: acts look again whether that has ended, too.
    pub(in crate::services) session: Option<SessionId>,
}

impl AuthContext {
    /// The command line on the server.
    pub fn command_line() -> Self {
        Self { actor: Actor::Cli, role: Role::Admin, session: None }
    }

    /// What is due by itself.
    pub(in crate::services) fn system() -> Self {
        Self { actor: Actor::System, role: Role::Admin, session: None }
    }

    /// An account, in no session.
    pub fn of(user: &User) -> Self {
        Self { actor: Actor::user(user), role: user.role, session: None }
    }

    /// Whoever asks over HTTP.
    pub fn signed_in(actor: Actor, role: Role, session: SessionId) -> Self {
        Self { actor, role, session: Some(session) }
    }

    pub(in crate::services) fn require(&self, role: Role) -> Result<()> {
        if self.role.reaches(role) { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// For what nobody does over HTTP: choosing another's password, or seeing its hash.
    pub(in crate::services) fn require_command_line(&self) -> Result<()> {
        if self.actor == Actor::Cli { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// A manager reaches users; an administrator reaches everyone.
    pub fn reaches(&self, subject: &User) -> bool {
        self.reaches_role(subject.role)
    }

    /// The same, where no more is known of the account than its role.
    pub fn reaches_role(&self, role: Role) -> bool {
        match self.role {
            Role::User => false,
            Role::Manager => role == Role::User,
            Role::Admin => true,
        }
    }

    pub(in crate::services) fn require_reach(&self, subject: &User) -> Result<()> {
        if self.reaches(subject) { Ok(()) } else { Err(Error::Forbidden) }
    }
}
