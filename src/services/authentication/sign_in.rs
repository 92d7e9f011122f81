//! Signing in and out.

use secrecy::SecretString;

use super::lockout::Authenticated;
use crate::domain::audit::Client;
use crate::domain::keys::{Secret, SessionHandle};
use crate::domain::refresh_token::{RefreshSeed, RefreshState, TokenFamily};
use crate::domain::session::{Lifetime, LiveSession};
use crate::domain::{Actor, EndReason, Event, SessionId, SessionKind, Timestamp, User, UserId};
use crate::services::{Caller, Result, Services, SignedIn};
use crate::storage::accounts::users::{self, StoredUser};
use crate::storage::audit::{self, Entry};
use crate::storage::database::AnyConnection;
use crate::storage::sessions::rows::{self, End, NewSession};

/// A session that a transaction is about to open.
#[derive(Clone)]
pub(in crate::services) struct SessionDraft {
    session_id: SessionId,
    secret: Secret,
    /// Of a program's session, which has refresh tokens in place of a cookie.
    refresh_seed: Option<RefreshSeed>,
    remember: bool,
    device: String,
    address: String,
    now: Timestamp,
    idle: chrono::TimeDelta,
    absolute_limit: Timestamp,
}

impl SessionDraft {
    /// Inserts the session of `user`, as it was read before the password was checked, and notes the sign-in.
    pub(in crate::services) fn insert(&self, connection: &mut AnyConnection, user: &User) -> Result<()> {
        rows::insert(
            connection,
            &NewSession {
                id: self.session_id,
                user,
                kind: if self.refresh_seed.is_some() { SessionKind::Api } else { SessionKind::Browser },
                secret: self.secret.hash(),
                remember: self.remember,
                device: &self.device,
                address: &self.address,
                now: self.now,
                idle: self.idle,
                absolute_limit: self.absolute_limit,
                refresh_seed: self.refresh_seed,
            },
        )?;
        users::set_last_sign_in(connection, user.id, self.now)
    }

    pub(in crate::services) fn session_id(&self) -> SessionId {
        self.session_id
    }

    /// The account as this sign-in has left it.
    pub(in crate::services) fn noted(&self, user: User) -> User {
        User { last_sign_in_at: Some(self.now), ..user }
    }

    pub(in crate::services) fn into_signed_in(self, user: User) -> SignedIn {
        let handle = SessionHandle { user_id: user.id, session_id: self.session_id, secret: self.secret };
        SignedIn { user, handle, remember: self.remember }
    }

    /// The session of a program, as its tokens are made from it. `None` of a browser's.
    pub(in crate::services) fn token_family(&self, user: &User) -> Option<TokenFamily> {
        Some(TokenFamily {
            session: LiveSession {
                user_id: user.id,
                session_id: self.session_id,
                kind: SessionKind::Api,
                role: user.role,
                remember: self.remember,
                created_at: self.now,
                password_entered_at: self.now,
                absolute_limit: self.absolute_limit,
            },
            refresh_state: RefreshState { seed: self.refresh_seed?, counter: 0, rotated_at: None },
            idle: self.idle,
            last_active_at: self.now,
        })
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
        let draft = || self.draft(remember, client);
        let (user, draft) = self.open_session(name, password, draft, replaces, client).await?;
        Ok(draft.into_signed_in(user))
    }

    /// What a sign-in of any kind does. The session's time begins when the password has been checked.
    pub(in crate::services) async fn open_session(
        &self,
        name: &str,
        password: &SecretString,
        draft: impl FnOnce() -> SessionDraft,
        replaces: Option<&Caller>,
        client: &Client,
    ) -> Result<(User, SessionDraft)> {
        // Read before the password is checked, epoch included: an "end all" that comes between is seen by the insert.
        let Authenticated { account: StoredUser { user, password_hash }, outdated } =
            self.check_credentials(name, password, client).await?;
        let rehashed = if outdated { Some(self.hasher.hash(password).await?) } else { None };

        let draft = draft();
        let (subject, client) = (user.clone(), client.clone());
        let replaced = replaces.cloned();
        let draft = self
            .database
            .write(move |connection| {
                draft.insert(connection, &subject)?;
                if let Some((old, new)) = password_hash.as_ref().zip(rehashed.as_ref()) {
                    users::rehash(connection, subject.id, old, new)?;
                }
                let actor = Actor::user(&subject);
                let entry = Entry::success(Event::SignInSuccess, &actor, &subject, &client);
                audit::append(connection, &entry.session(draft.session_id), draft.now)?;
                end_replaced(connection, replaced.as_ref(), &actor, draft.now)?;
                Ok(draft.clone())
            })
            .await?;
        self.invalidate_replaced(replaces).await;
        Ok((draft.noted(user), draft))
    }

    /// Ends the caller's session.
    pub async fn sign_out(&self, caller: &Caller, client: &Client) -> Result<()> {
        self.end_by_itself(caller.user_id, caller.session_id, Event::SignOut, client).await
    }

    /// Ends a session by its own doing; `event` says by which. Also where it has ended before, so that a retry after a
    /// 503 reaches every copy.
    pub(in crate::services) async fn end_by_itself(
        &self,
        user_id: UserId,
        session: SessionId,
        event: Event,
        client: &Client,
    ) -> Result<()> {
        let (client, now) = (client.clone(), self.clock.now());
        self.database
            .write(move |connection| {
                // A deleted account has no session left to end.
                let Some(StoredUser { user, .. }) = users::by_id(connection, user_id)? else { return Ok(()) };
                let actor = Actor::user(&user);
                let end = End { reason: EndReason::SignedOut, by: &actor, at: now };
                if rows::end(connection, user_id, session, &end)? {
                    audit::append(connection, &Entry::success(event, &actor, &user, &client).session(session), now)?;
                }
                Ok(())
            })
            .await?;
        self.invalidate_session(user_id, session).await
    }

    /// A browser session that starts now, with the limits of the settings.
    pub(in crate::services) fn draft(&self, remember: bool, client: &Client) -> SessionDraft {
        let lifetime = if remember { self.settings.remember_lifetime } else { self.settings.session_lifetime };
        self.draft_of(lifetime, remember, client)
    }

    /// A program's session that starts now; its refresh tokens keep it open.
    pub(in crate::services) fn program_draft(&self, device: Option<String>, client: &Client) -> SessionDraft {
        let idle = self.settings.refresh_token_ttl;
        let lifetime = Lifetime { idle, absolute: self.settings.remember_lifetime.absolute };
        let draft = self.draft_of(lifetime, false, client);
        let device = device.unwrap_or_else(|| draft.device.clone());
        SessionDraft { device, refresh_seed: Some(RefreshSeed::generate()), ..draft }
    }

    fn draft_of(&self, lifetime: Lifetime, remember: bool, client: &Client) -> SessionDraft {
        let now = self.clock.now();
        SessionDraft {
            session_id: SessionId::new(now),
            secret: Secret::generate(),
            refresh_seed: None,
            remember,
            device: client.device.clone().unwrap_or_default(),
            address: client.address.map(|address| address.to_string()).unwrap_or_default(),
            now,
            idle: lifetime.idle,
            absolute_limit: now + lifetime.absolute,
        }
    }

    /// A sign-in does not fail because an older session could not be taken out of Redis at once: the feed does it.
    pub(in crate::services) async fn invalidate_replaced(&self, replaced: Option<&Caller>) {
        let Some(replaced) = replaced else { return };
        if let Err(error) = self.invalidate_session(replaced.user_id, replaced.session_id).await {
            tracing::warn!(%error, session_id = %replaced.session_id, "a replaced session is left to the feed");
        }
    }
}

/// Ends the session over which somebody signed in, in the transaction of that sign-in.
pub(in crate::services) fn end_replaced(
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
