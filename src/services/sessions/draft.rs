//! A session that a sign-in is about to open.

use crate::domain::audit::Client;
use crate::domain::keys::{Secret, SessionHandle};
use crate::domain::refresh_token::{RefreshSeed, RefreshState, TokenFamily};
use crate::domain::session::{Lifetime, LiveSession};
use crate::domain::{Actor, Clock, EndReason, SessionId, SessionKind, Timestamp, User};
use crate::services::{Caller, Result, Services, SignedIn};
use crate::storage::accounts::users;
use crate::storage::database::AnyConnection;
use crate::storage::sessions::rows::{self, End, NewSession};
use crate::storage::sessions::{Change, SessionStore};

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

    pub(in crate::services) fn opened_at(&self) -> Timestamp {
        self.now
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

/// A browser session that starts now, with the limits of the settings.
pub(in crate::services) fn browser(services: &Services, remember: bool, client: &Client) -> SessionDraft {
    starting_now(&services.clock, services.settings.lifetime(remember), remember, client)
}

/// A program's session that starts now; its refresh tokens keep it open.
pub(in crate::services) fn program(services: &Services, device: Option<String>, client: &Client) -> SessionDraft {
    let idle = services.settings.refresh_token_ttl;
    let lifetime = Lifetime { idle, absolute: services.settings.remember_absolute_timeout };
    let draft = starting_now(&services.clock, lifetime, false, client);
    let device = device.unwrap_or_else(|| draft.device.clone());
    SessionDraft { device, refresh_seed: Some(RefreshSeed::generate()), ..draft }
}

fn starting_now(clock: &Clock, lifetime: Lifetime, remember: bool, client: &Client) -> SessionDraft {
    let now = clock.now();
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
pub(in crate::services) async fn invalidate_replaced(sessions: &SessionStore, replaced: Option<&Caller>) {
    let Some(replaced) = replaced else { return };
    if let Err(error) = sessions.invalidate(&[Change::SessionEnded(replaced.user_id, replaced.session_id)]).await {
        tracing::warn!(%error, session_id = %replaced.session_id, "a replaced session is left to the feed");
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
