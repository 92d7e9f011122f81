//! Signing in and out.

use secrecy::SecretString;

use super::lockout::Proven;
use super::{Caller, Result, Services, SignedIn};
use crate::domain::audit::Client;
use crate::domain::keys::{Secret, SessionHandle};
use crate::domain::{Actor, EndReason, Error, Event, SessionId, SessionKind, Timestamp, User};
use crate::storage::audit::{self, Entry};
use crate::storage::database::AnyConnection;
use crate::storage::sessions::rows::{self, End, NewSession};
use crate::storage::users::{self, StoredUser};

/// A session that a transaction is about to open.
pub(super) struct Opening {
    session_id: SessionId,
    secret: Secret,
    remember: bool,
    device: String,
    address: String,
    now: Timestamp,
    idle: chrono::TimeDelta,
    absolute_limit: Timestamp,
}

impl Opening {
    /// Inserts the session of `user`, as it was read before the password was checked, and notes the sign-in.
    pub(super) fn insert(&self, connection: &mut AnyConnection, user: &User) -> Result<()> {
        rows::insert(
            connection,
            &NewSession {
                id: self.session_id,
                user,
                kind: SessionKind::Browser,
                secret: self.secret.hash(),
                remember: self.remember,
                device: &self.device,
                address: &self.address,
                now: self.now,
                idle: self.idle,
                absolute_limit: self.absolute_limit,
            },
        )?;
        users::set_last_sign_in(connection, user.id, self.now)
    }

    pub(super) fn session_id(&self) -> SessionId {
        self.session_id
    }

    pub(super) fn into_signed_in(self, user: User) -> SignedIn {
        let handle = SessionHandle { user_id: user.id, session_id: self.session_id, secret: self.secret };
        SignedIn { user, handle, remember: self.remember }
    }
}

impl Services {
    /// Checks the password of the account with that username or e-mail, and opens a session.
    /// `replaces` is the browser's earlier session, which ends.
    ///
    /// Unknown name, wrong password, no password yet and suspended account are one answer; see [`super::lockout`].
    pub async fn sign_in(
        &self,
        name: &str,
        password: &SecretString,
        remember: bool,
        replaces: Option<&Caller>,
        client: &Client,
    ) -> Result<SignedIn> {
        // Read before the password is checked, epoch included: an "end all" that comes between is seen by the insert.
        let Proven { account: StoredUser { user, password_hash }, outdated } =
            self.check_credentials(name, password, client).await?;
        let rehashed = if outdated { Some(self.hasher.hash(password).await?) } else { None };

        let opening = self.opening(remember, client);
        let (subject, client) = (user.clone(), client.clone());
        let replaced = replaces.cloned();
        let opening = self
            .database
            .write(move |connection| {
                opening.insert(connection, &subject)?;
                if let Some((old, new)) = password_hash.zip(rehashed) {
                    users::rehash(connection, subject.id, &old, &new)?;
                }
                let actor = Actor::user(&subject);
                let entry = Entry::success(Event::SignInSuccess, &actor, &subject, &client);
                audit::append(connection, &entry.session(opening.session_id), opening.now)?;
                end_replaced(connection, replaced.as_ref(), &actor, opening.now)?;
                Ok(opening)
            })
            .await?;
        self.announce_replaced(replaces).await;
        Ok(opening.into_signed_in(user))
    }

    /// Ends the caller's session.
    pub async fn sign_out(&self, caller: &Caller, client: &Client) -> Result<()> {
        let (caller, client, now) = (caller.clone(), client.clone(), self.clock.now());
        let (user_id, session_id) = (caller.user_id, caller.session_id);
        self.database
            .write(move |connection| {
                let user = users::by_id(connection, caller.user_id)?.ok_or(Error::NotSignedIn)?.user;
                let actor = Actor::user(&user);
                let end = End { reason: EndReason::SignedOut, by: &actor, at: now };
                let entry = Entry::success(Event::SignOut, &actor, &user, &client).session(caller.session_id);
                if rows::end(connection, caller.user_id, caller.session_id, &end)? {
                    audit::append(connection, &entry, now)?;
                }
                Ok(())
            })
            .await?;
        self.announce_session_ended(user_id, session_id).await
    }

    /// A browser session that starts now, with the limits of the settings.
    pub(super) fn opening(&self, remember: bool, client: &Client) -> Opening {
        let now = self.clock.now();
        let lifetime = if remember { self.settings.remember_lifetime } else { self.settings.session_lifetime };
        Opening {
            session_id: SessionId::new(now),
            secret: Secret::generate(),
            remember,
            device: client.device.clone().unwrap_or_default(),
            address: client.address.map(|address| address.to_string()).unwrap_or_default(),
            now,
            idle: lifetime.idle,
            absolute_limit: now + lifetime.absolute,
        }
    }

    /// A sign-in does not fail because an older session could not be taken out of Redis at once: the feed does it.
    pub(super) async fn announce_replaced(&self, replaced: Option<&Caller>) {
        let Some(replaced) = replaced else { return };
        if let Err(error) = self.announce_session_ended(replaced.user_id, replaced.session_id).await {
            tracing::warn!(%error, session_id = %replaced.session_id, "a replaced session is left to the feed");
        }
    }
}

/// Ends the session over which somebody signed in, in the transaction of that sign-in.
pub(super) fn end_replaced(
    connection: &mut AnyConnection,
    replaced: Option<&Caller>,
    by: &Actor,
    now: Timestamp,
) -> Result<()> {
    if let Some(replaced) = replaced {
        let end = End { reason: EndReason::Replaced, by, at: now };
        rows::end(connection, replaced.user_id, replaced.session_id, &end)?;
    }
    Ok(())
}
