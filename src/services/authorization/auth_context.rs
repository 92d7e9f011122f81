//! Who acts, with which role, from which session, and whether the password was entered for it recently: for pages, API and
//! command line alike.

use std::ops::Deref;

use crate::domain::session::LiveSession;
use crate::domain::{Actor, Error, Role, SessionId, User};
use crate::services::{Result, Services};

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

/// An [`AuthContext`] that may do what is sensitive. Only a [`RecentProof`] makes one for an account, so that a service
/// that takes it can't be called where nobody looked how long ago the password was entered:
///
/// ```
/// # use portcullis::domain::{UserId, audit::Client};
/// # use portcullis::services::administration::user_acts;
/// # use portcullis::services::{AuthContext, RecentAuthContext, Services};
/// fn suspend(services: &Services, auth: &RecentAuthContext, user: UserId) {
///     let _ = user_acts::suspend(services, auth, user, &Client::default());
/// }
/// ```
///
/// ```compile_fail
/// # use portcullis::domain::{UserId, audit::Client};
/// # use portcullis::services::administration::user_acts;
/// # use portcullis::services::{AuthContext, RecentAuthContext, Services};
/// fn suspend(services: &Services, auth: &AuthContext, user: UserId) {
///     let _ = user_acts::suspend(services, auth, user, &Client::default());
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RecentAuthContext(AuthContext);

impl RecentAuthContext {
    /// Whoever asks over HTTP.
    pub fn signed_in(actor: Actor, role: Role, proof: &RecentProof) -> Self {
        Self(AuthContext::signed_in(actor, role, proof.session))
    }

    /// The command line on the server. It is asked for no password: whoever has its shell has the settings, and with them
    /// database and keys.
    pub fn command_line() -> Self {
        Self(AuthContext { actor: Actor::Cli, role: Role::Admin, session: None })
    }

    /// The same with a lower role, of which the command line has none.
    #[cfg(test)]
    pub(in crate::services) fn command_line_as(role: Role) -> Self {
        Self(AuthContext { role, ..Self::command_line().0 })
    }
}

impl Deref for RecentAuthContext {
    type Target = AuthContext;

    fn deref(&self) -> &AuthContext {
        &self.0
    }
}

/// That the password was entered for this session within `reauthentication_window`. Nothing but the check of the window
/// makes one.
#[derive(Clone, Debug)]
pub struct RecentProof {
    session: SessionId,
}

impl RecentProof {
    /// What a sensitive act needs; `None` where the last entry of the password is too old.
    pub fn of(services: &Services, session: &LiveSession) -> Option<Self> {
        let age = services.clock.now() - session.password_entered_at;
        (age <= services.settings.reauthentication_window).then_some(Self { session: session.id })
    }
}
