//! Passwords: changed, reset, set.

use secrecy::SecretString;

use super::links;
use crate::domain::audit::Client;
use crate::domain::keys::Secret;
use crate::domain::link::LinkPurpose;
use crate::domain::password::PasswordPolicy;
use crate::domain::{Actor, EndReason, Error, Event, Timestamp, User, UserId};
use crate::services::authentication::lockout;
use crate::services::authentication::reauthentication::{self, still_checked};
use crate::services::authorization::{Authorized, authorize_on};
use crate::services::{AuthContext, Caller, NewSecret, Result, Services};
use crate::storage::accounts::users;
use crate::storage::audit::{self, Entry};
use crate::storage::authentication::lockouts;
use crate::storage::database::AnyConnection;
use crate::storage::sessions::Change;
use crate::storage::sessions::rows::{self, End};

impl Services {
    /// Ends all other sessions; this one gets a new secret. A wrong current password names the field.
    pub async fn change_password(
        &self,
        caller: &Caller,
        current: &SecretString,
        new: &SecretString,
        client: &Client,
    ) -> Result<NewSecret> {
        let checked = lockout::check_own_password(self, caller, "current_password", current, client).await?;
        let password = self.check_new_password(&checked, new).await?;
        let (secret, now) = (Secret::generate(), self.clock.now());
        let (caller_, hash, client) = (caller.clone(), secret.hash(), client.clone());
        let remember = self
            .database
            .write(move |connection| {
                let (user, session) = still_checked(connection, &checked, &caller_, now)?;
                let actor = Actor::user(&user);
                let kept = Some(caller_.session_id);
                replace_password(connection, &user, &password, kept, &actor, &client, now)?;
                let epoch = users::raise_epoch(connection, user.id)?;
                rows::set_secret(connection, user.id, caller_.session_id, hash, epoch, now)?;
                Ok(session.remember)
            })
            .await?;
        Ok(reauthentication::deliver(&self.sessions, caller, secret, remember).await)
    }

    /// Uses a reset link up: sets the password, ends all sessions. The account is as it is then.
    pub async fn reset_password(&self, token: &str, new: &SecretString, client: &Client) -> Result<User> {
        let (user, _) = self.reset_link(token).await?;
        let password = self.check_new_password(&user, new).await?;
        let (token, client, now) = (token.to_owned(), client.clone(), self.clock.now());
        let user = self
            .database
            .write(move |connection| {
                // The account before its link, as everyone does who voids links.
                let user = users::lock(connection, user.id)?.ok_or(Error::LinkGone)?.user;
                links::consume(connection, LinkPurpose::Reset, &token, now)?;
                replace_password(connection, &user, &password, None, &Actor::user(&user), &client, now)?;
                let epoch = users::raise_epoch(connection, user.id)?;
                Ok(User { epoch, password_changed_at: Some(now), ..user })
            })
            .await?;
        self.sessions.invalidate(&[Change::User(user.id)]).await?;
        Ok(user)
    }

    /// The command line's: sets the password, ends all sessions.
    pub async fn set_password(
        &self,
        auth: &AuthContext,
        user: UserId,
        new: &SecretString,
        client: &Client,
    ) -> Result<User> {
        auth.require_command_line()?;
        let found = self.user(user).await?;
        let password = self.check_new_password(&found, new).await?;
        let (auth, client, now) = (auth.clone(), client.clone(), self.clock.now());
        self.database
            .write(move |connection| {
                let Authorized { actor, user } = authorize_on(connection, &auth, &user.into())?;
                replace_password(connection, &user, &password, None, &actor, &client, now)?;
                users::raise_epoch(connection, user.id)?;
                Ok(())
            })
            .await?;
        self.sessions.invalidate(&[Change::User(user)]).await?;
        Ok(found)
    }

    async fn check_new_password(&self, user: &User, new: &SecretString) -> Result<String> {
        let about = [user.username.as_str(), user.email.as_str(), user.name.as_deref().unwrap_or_default()];
        let checked = self.hasher.check(self.password_policy(), "new_password", new, &about).await?;
        checked.map_err(|error| Error::Invalid(error.into()))?;
        self.hasher.hash(new).await
    }

    pub(in crate::services) fn password_policy(&self) -> PasswordPolicy {
        PasswordPolicy { min_length: self.settings.password_min_length, min_score: self.settings.password_min_score }
    }
}

/// Stores a new password, ends all sessions but `kept`, and begins to count failures anew. The caller raises the epoch, last.
fn replace_password(
    connection: &mut AnyConnection,
    user: &User,
    hash: &str,
    kept: Option<crate::domain::SessionId>,
    by: &Actor,
    client: &Client,
    now: Timestamp,
) -> Result<()> {
    users::set_password(connection, user.id, hash, now)?;
    lockouts::forget_user(connection, user.id)?;
    links::void_reset_links(connection, user.id)?;
    let end = End { reason: EndReason::PasswordChanged, by, at: now };
    rows::end_all(connection, user.id, kept, &end)?;
    let mut entry = Entry::success(Event::PasswordChanged, by, user, client);
    entry.session_id = kept;
    audit::append(connection, &entry, now)
}
