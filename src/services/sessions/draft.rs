//! A session that a sign-in is about to open.

use crate::domain::audit::Client;
use crate::domain::keys::{Secret, SessionHandle};
use crate::domain::refresh_token::{RefreshSeed, TokenFamily};
use crate::domain::session::Lifetime;
use crate::domain::{Actor, EndReason, Error, Event, SessionId, SessionKind, Timestamp, User};
use crate::services::{Caller, Result, Services, SignedIn};
use crate::storage::accounts::users;
use crate::storage::audit::{self, Entry};
use crate::storage::database::AnyConnection;
use crate::storage::sessions::rows::{self, End, NewSession};
use crate::storage::sessions::{Change, SessionStore};

/// For whom a sign-in opens a session.
pub(in crate::services) enum Opener {
    Browser {
        remember: bool,
    },
    /// Its refresh tokens keep the session open. What it calls itself goes before what its user agent says.
    Program {
        device: Option<String>,
    },
}

/// A session that a transaction is about to open. Every sign-in drafts one, and [opens](SessionDraft::open) it.
#[derive(Clone)]
pub(in crate::services) struct SessionDraft {
    session: NewSession,
    secret: Secret,
}

impl SessionDraft {
    /// A session that starts now, with the limits of the settings.
    pub(in crate::services) fn new(services: &Services, opener: Opener, client: &Client) -> Self {
        let (now, settings) = (services.clock.now(), &services.settings);
        let of_client = client.device.clone().unwrap_or_default();
        let (kind, remember, device, lifetime) = match opener {
            Opener::Browser { remember } => (SessionKind::Browser, remember, of_client, settings.lifetime(remember)),
            Opener::Program { device } => {
                let absolute = settings.remember_absolute_timeout;
                let lifetime = Lifetime { idle: settings.refresh_token_ttl, absolute };
                (SessionKind::Api, false, device.unwrap_or(of_client), lifetime)
            }
        };
        let secret = Secret::generate();
        let session = NewSession {
            id: SessionId::new(now),
            kind,
            secret: secret.hash(),
            remember,
            device,
            address: client.address.map(|address| address.to_string()).unwrap_or_default(),
            now,
            idle: lifetime.idle,
            absolute_limit: now + lifetime.absolute,
            refresh_seed: (kind == SessionKind::Api).then(RefreshSeed::generate),
        };
        Self { session, secret }
    }

    /// Opens the session of `user`, as it was read before the password was checked, notes the sign-in, and ends the
    /// session over which somebody signed in. Only if the account is active and still of the epoch that was read: a
    /// sign-in can't outlive an "end all" that overtook it.
    pub(in crate::services) fn open(
        &self,
        connection: &mut AnyConnection,
        user: &User,
        replaced: Option<&Caller>,
        client: &Client,
    ) -> Result<()> {
        let (id, now) = (self.session.id, self.session.now);
        let present = users::lock(connection, user.id)?.ok_or(Error::Raced)?.user;
        if present.epoch != user.epoch || !present.is_active() {
            return Err(Error::Raced);
        }
        rows::insert(connection, user, &self.session)?;
        users::set_last_sign_in(connection, user.id, now)?;
        let actor = Actor::user(user);
        let entry = Entry::success(Event::SignInSuccess, &actor, user, client).session(id);
        audit::append(connection, &entry, now)?;
        if let Some(replaced) = replaced {
            let end = End { reason: EndReason::Replaced, by: &actor, at: now };
            rows::end(connection, replaced.user_id, replaced.session_id, &end)?;
        }
        Ok(())
    }

    pub(in crate::services) fn opened_at(&self) -> Timestamp {
        self.session.now
    }

    /// The account as this sign-in has left it.
    pub(in crate::services) fn noted(&self, user: User) -> User {
        User { last_sign_in_at: Some(self.session.now), ..user }
    }

    pub(in crate::services) fn into_signed_in(self, user: User) -> SignedIn {
        let handle = SessionHandle { user_id: user.id, session_id: self.session.id, secret: self.secret };
        SignedIn { user, handle, remember: self.session.remember }
    }

    /// The session of a program, as its tokens are made from it. `None` of a browser's.
    pub(in crate::services) fn token_family(&self, user: &User) -> Option<TokenFamily> {
        self.session.token_family(user)
    }
}

/// A sign-in does not fail because an older session could not be taken out of Redis at once: the feed does it.
pub(in crate::services) async fn invalidate_replaced(sessions: &SessionStore, replaced: Option<&Caller>) {
    let Some(replaced) = replaced else { return };
    if let Err(error) = sessions.invalidate(&[Change::SessionEnded(replaced.user_id, replaced.session_id)]).await {
        tracing::warn!(%error, session_id = %replaced.session_id, "a replaced session is left to the feed");
    }
}
