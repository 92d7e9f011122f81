//! What administrators do to one account: its role, its status, its end. Here too is who may act on whom.

use super::accounts::present;
use super::{Result, Services, Steward, links};
use crate::domain::audit::Client;
use crate::domain::{Actor, EndReason, Error, Event, Role, Timestamp, User, UserId, UserStatus};
use crate::storage::audit::{self, Entry};
use crate::storage::database::AnyConnection;
use crate::storage::lockouts;
use crate::storage::sessions::rows::{self, End};
use crate::storage::users::{self, Administrator};

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

impl Services {
    /// Takes effect on the next request; the sessions live on, with the new role.
    pub async fn set_role(
        &self,
        steward: &Steward,
        subject: impl Into<Subject>,
        role: Role,
        client: &Client,
    ) -> Result<User> {
        let (client, now) = (client.clone(), self.clock.now());
        self.administer(steward, subject.into(), move |connection, account| {
            if account.user.role == role {
                return Ok(());
            }
            if account.is_own() && !account.user.role.reaches(role) {
                return Err(Error::Forbidden); // nobody raises an own role
            }
            account.keep_an_administrator()?;
            let entry = Entry::success(Event::UserRoleChanged, &account.by, &account.user, &client);
            audit::append(connection, &entry.detail(format!("{} to {role}", account.user.role)), now)?;
            users::set_role(connection, account.user.id, role)
        })
        .await?
        .ok_or(Error::NotFound)
    }

    /// Ends all sessions of the account, voids its reset link and refuses new sessions.
    pub async fn suspend(&self, steward: &Steward, subject: impl Into<Subject>, client: &Client) -> Result<User> {
        let (client, now) = (client.clone(), self.clock.now());
        self.administer(steward, subject.into(), move |connection, account| {
            if !account.user.is_active() {
                return Ok(());
            }
            account.keep_an_administrator()?;
            account.shut_out(connection, EndReason::Suspended, now)?;
            let entry = Entry::success(Event::UserSuspended, &account.by, &account.user, &client);
            audit::append(connection, &entry, now)?;
            users::set_status(connection, account.user.id, UserStatus::Suspended)
        })
        .await?
        .ok_or(Error::NotFound)
    }

    /// Lets the account sign in again. No session that was ended by the suspension comes back.
    pub async fn reinstate(&self, steward: &Steward, subject: impl Into<Subject>, client: &Client) -> Result<User> {
        let (client, now) = (client.clone(), self.clock.now());
        self.administer(steward, subject.into(), move |connection, account| {
            if account.user.is_active() {
                return Ok(());
            }
            let entry = Entry::success(Event::UserReinstated, &account.by, &account.user, &client);
            audit::append(connection, &entry, now)?;
            users::set_status(connection, account.user.id, UserStatus::Active)
        })
        .await?
        .ok_or(Error::NotFound)
    }

    /// Ends all sessions of the account, frees its names and forgets what is personal but its events.
    pub async fn delete_user(&self, steward: &Steward, subject: impl Into<Subject>, client: &Client) -> Result<()> {
        let (client, now) = (client.clone(), self.clock.now());
        self.administer(steward, subject.into(), move |connection, account| {
            account.keep_an_administrator()?;
            account.shut_out(connection, EndReason::Deleted, now)?;
            lockouts::forget_user(connection, account.user.id)?;
            let entry = Entry::success(Event::UserDeleted, &account.by, &account.user, &client);
            audit::append(connection, &entry, now)?;
            users::delete(connection, account.user.id, now)
        })
        .await?;
        Ok(())
    }

    /// One transaction in which `act` changes role or status of an account, or ends it, and then every copy is told.
    /// Gives back what became of it; `None` where it is gone.
    async fn administer(
        &self,
        steward: &Steward,
        subject: Subject,
        mut act: impl FnMut(&mut AnyConnection, &Administered) -> Result<()> + Send + 'static,
    ) -> Result<Option<User>> {
        steward.require(Role::Admin)?;
        let (steward, id) = (steward.clone(), subject.id);
        let after = self
            .database
            .write(move |connection| {
                // All of them first, always in one order: two who demote each other wait for one another instead of
                // both going.
                let administrators = users::lock_active_administrators(connection)?;
                let Act { by, on: user } = administered(connection, &steward, &subject)?;
                act(connection, &Administered { by, user, administrators })?;
                Ok(users::by_id(connection, id)?.map(|stored| stored.user))
            })
            .await?;
        self.announce_user_changed(id).await?;
        Ok(after)
    }
}

/// An account under an administrator's hands, and all active administrators, locked.
struct Administered {
    by: Actor,
    user: User,
    administrators: Vec<Administrator>,
}

impl Administered {
    fn is_own(&self) -> bool {
        matches!(&self.by, Actor::User { id, .. } if *id == self.user.id)
    }

    /// Refuses what would take away the last active administrator, or the last of them who can sign in.
    fn keep_an_administrator(&self) -> Result<()> {
        let is_this = |administrator: &&Administrator| administrator.id == self.user.id;
        let Some(this) = self.administrators.iter().find(is_this) else { return Ok(()) };
        let others = || self.administrators.iter().filter(|other| !is_this(other));
        if others().any(|other| other.has_password || !this.has_password) {
            return Ok(());
        }
        Err(Error::LastAdmin { others_without_password: others().next().is_some() })
    }

    /// Nothing that was handed out for the account opens anything any more.
    fn shut_out(&self, connection: &mut AnyConnection, reason: EndReason, now: Timestamp) -> Result<()> {
        rows::end_all(connection, self.user.id, None, &End { reason, by: &self.by, at: now })?;
        links::void_reset_links(connection, self.user.id)
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
    let on = present(users::lock(connection, subject.id)?)?.user;
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
