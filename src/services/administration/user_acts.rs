//! What administrators do to one account: its role, its status, its end.

use crate::domain::audit::Client;
use crate::domain::{Actor, EndReason, Error, Event, Role, Timestamp, User, UserStatus};
use crate::services::accounts::links;
use crate::services::authorization::{Authorized, Subject, authorize_admin_on};
use crate::services::sessions::history;
use crate::services::{RecentAuthContext, Result, Services};
use crate::storage::accounts::users::{self, Administrator};
use crate::storage::audit::{self, Entry};
use crate::storage::authentication::lockouts;
use crate::storage::database::AnyConnection;
use crate::storage::sessions::rows::End;
use crate::storage::sessions::{Change, account};

/// Takes effect on the next request; the sessions live on, with the new role.
pub async fn set_role(
    services: &Services,
    auth: &RecentAuthContext,
    subject: impl Into<Subject>,
    role: Role,
    client: &Client,
) -> Result<User> {
    let (client, now) = (client.clone(), services.clock.now());
    administer(services, auth, subject.into(), move |connection, held| {
        if held.user.role == role {
            return Ok(());
        }
        if held.is_own() && !held.user.role.reaches(role) {
            return Err(Error::Forbidden); // nobody raises an own role
        }
        held.keep_an_administrator()?;
        let entry = Entry::success(Event::UserRoleChanged, &held.actor, &held.user, &client);
        audit::append(connection, &entry.detail(format!("{} to {role}", held.user.role)), now)?;
        users::set_role(connection, held.user.id, role)
    })
    .await?
    .ok_or(Error::NotFound)
}

/// Ends all sessions of the account, voids its reset link and refuses new sessions.
pub async fn suspend(
    services: &Services,
    auth: &RecentAuthContext,
    subject: impl Into<Subject>,
    client: &Client,
) -> Result<User> {
    let (client, now) = (client.clone(), services.clock.now());
    administer(services, auth, subject.into(), move |connection, held| {
        if !held.user.is_active() {
            return Ok(());
        }
        held.keep_an_administrator()?;
        held.shut_out(connection, EndReason::Suspended, now)?;
        let entry = Entry::success(Event::UserSuspended, &held.actor, &held.user, &client);
        audit::append(connection, &entry, now)?;
        users::set_status(connection, held.user.id, UserStatus::Suspended)
    })
    .await?
    .ok_or(Error::NotFound)
}

/// Lets the account sign in again. No session that was ended by the suspension comes back.
pub async fn reinstate(
    services: &Services,
    auth: &RecentAuthContext,
    subject: impl Into<Subject>,
    client: &Client,
) -> Result<User> {
    let (client, now) = (client.clone(), services.clock.now());
    administer(services, auth, subject.into(), move |connection, held| {
        if held.user.is_active() {
            return Ok(());
        }
        let entry = Entry::success(Event::UserReinstated, &held.actor, &held.user, &client);
        audit::append(connection, &entry, now)?;
        users::set_status(connection, held.user.id, UserStatus::Active)
    })
    .await?
    .ok_or(Error::NotFound)
}

/// Ends all sessions of the account, frees its names and forgets what is personal but its events.
pub async fn delete(
    services: &Services,
    auth: &RecentAuthContext,
    subject: impl Into<Subject>,
    client: &Client,
) -> Result<()> {
    let (client, now) = (client.clone(), services.clock.now());
    administer(services, auth, subject.into(), move |connection, held| {
        held.keep_an_administrator()?;
        held.shut_out(connection, EndReason::Deleted, now)?;
        lockouts::forget_user(connection, held.user.id)?;
        let entry = Entry::success(Event::UserDeleted, &held.actor, &held.user, &client);
        audit::append(connection, &entry, now)?;
        users::delete(connection, held.user.id, now)
    })
    .await?;
    Ok(())
}

/// One transaction in which `act` changes role or status of an account, or ends it, and then every copy is told.
/// Gives back what became of it; `None` where it is gone.
async fn administer(
    services: &Services,
    auth: &RecentAuthContext,
    subject: Subject,
    mut act: impl FnMut(&mut AnyConnection, &AccountUnderAct) -> Result<()> + Send + 'static,
) -> Result<Option<User>> {
    auth.require(Role::Admin)?;
    let (auth, id) = (auth.clone(), subject.id());
    let after = services
        .database
        .write(move |connection| {
            // All of them first, always in one order: two who demote each other wait for one another instead of
            // both going.
            let administrators = users::lock_active_administrators(connection)?;
            let Authorized { actor, user } = authorize_admin_on(connection, &auth, &subject)?;
            act(connection, &AccountUnderAct { actor, user, administrators })?;
            Ok(users::by_id(connection, id)?.map(|stored| stored.user))
        })
        .await?;
    services.sessions.invalidate(&[Change::User(id)]).await?;
    history::settle(services).await;
    Ok(after)
}

/// An account under an administrator's hands, and all active administrators, locked.
struct AccountUnderAct {
    actor: Actor,
    user: User,
    administrators: Vec<Administrator>,
}

impl AccountUnderAct {
    fn is_own(&self) -> bool {
        matches!(&self.actor, Actor::User { id, .. } if *id == self.user.id)
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
        account::end_all(connection, self.user.id, None, &End { reason, by: &self.actor, at: now })?;
        links::void_reset_links(connection, self.user.id)
    }
}
