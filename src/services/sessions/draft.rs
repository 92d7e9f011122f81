//! A session that a sign-in is about to open.

use crate::domain::audit::Client;
use crate::domain::form_seed::{FormSeed, REPEAT_GRACE};
use crate::domain::keys::{Secret, SessionHandle};
use crate::domain::refresh_token::{RefreshSeed, TokenFamily};
use crate::domain::session::Lifetime;
use crate::domain::{Actor, EndReason, Error, Event, NameKey, SessionId, SessionKind, Timestamp, User};
use crate::services::{Caller, Result, Services, SignedIn};
use crate::storage::accounts::users::{self, StoredUser};
use crate::storage::audit::{self, Entry};
use crate::storage::database::AnyConnection;
use crate::storage::sessions::rows::{self, End, NewSession};
use crate::storage::sessions::{Change, SessionStore, account};

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
    /// The form of a browser, where it would be known if it came again.
    form: Option<FormSeed>,
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
        let id = SessionId::new(now);
        let form = client.form.clone().filter(|_| kind == SessionKind::Browser);
        let secret = form.as_ref().map_or_else(Secret::generate, |form| form.session_secret(id));
        let session = NewSession {
            id,
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
        Self { session, secret, form }
    }

    /// Opens the session of `user`, as it was read before the password was checked, notes the sign-in, and ends the
    /// session over which somebody signed in. Only if the account is active and still of the epoch that was read: a
    /// sign-in can't outlive an "end all" that overtook it. Gives back the session that is open now: where the form comes again, that is the one that it has opened before.
    pub(in crate::services) fn open(
        &self,
        connection: &mut AnyConnection,
        user: &User,
        replaced: Option<&Caller>,
        client: &Client,
    ) -> Result<Self> {
        let (id, now) = (self.session.id, self.session.now);
        let present = users::lock(connection, user.id)?.ok_or(Error::Raced)?.user;
        if present.epoch != user.epoch || !present.is_active() {
            return Err(Error::Raced);
        }
        if let Some(form) = &self.form
            && let Some((id, secret)) = opened_by(connection, form, user, now)?
        {
            end_replaced(connection, user, replaced.filter(|replaced| replaced.session_id != id), now)?;
            let session = NewSession { id, secret: secret.hash(), ..self.session.clone() };
            return Ok(Self { session, secret, form: self.form.clone() });
        }
        rows::insert(connection, user, &self.session)?;
        users::set_last_sign_in(connection, user.id, now)?;
        let actor = Actor::user(user);
        let entry = Entry::success(Event::SignInSuccess, &actor, user, client).session(id);
        audit::append(connection, &entry, now)?;
        end_replaced(connection, user, replaced, now)?;
        Ok(self.clone())
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

/// Ends the session over which somebody signed in.
fn end_replaced(connection: &mut AnyConnection, user: &User, replaced: Option<&Caller>, now: Timestamp) -> Result<()> {
    let Some(Caller { user_id, session_id, .. }) = replaced else { return Ok(()) };
    let end = End { reason: EndReason::Replaced, by: &Actor::user(user), at: now };
    rows::end(connection, *user_id, *session_id, &end).map(drop)
}

/// The session that the form has opened a moment ago, and its secret.
fn opened_by(
    connection: &mut AnyConnection,
    form: &FormSeed,
    user: &User,
    now: Timestamp,
) -> Result<Option<(SessionId, Secret)>> {
    let lately = account::opened_between(connection, user, now - REPEAT_GRACE, now + REPEAT_GRACE)?;
    Ok(lately.into_iter().find_map(|(id, hash)| {
        let secret = form.session_secret(id);
        hash.matches(&secret.hash().0).then_some((id, secret))
    }))
}

/// Where the form comes again that has created the account of that name, and signed in: that sign-in, as it was answered.
pub(in crate::services) async fn opened_with_account(
    services: &Services,
    username: &str,
    client: &Client,
) -> Result<Option<SignedIn>> {
    let (Some(form), Some(key)) = (client.form.clone(), NameKey::of_typed(username)) else { return Ok(None) };
    let now = services.clock.now();
    services
        .database
        .read(move |connection| {
            let Some(StoredUser { user, .. }) = users::by_name(connection, &key)? else { return Ok(None) };
            let Some((session_id, secret)) = opened_by(connection, &form, &user, now)? else { return Ok(None) };
            let handle = SessionHandle { user_id: user.id, session_id, secret };
            Ok(Some(SignedIn { user, handle, remember: false }))
        })
        .await
}

/// After the commit of a sign-in. It does not fail because an older session could not be taken out of Redis at once: the
/// feed does it.
pub(in crate::services) async fn invalidate_opened(
    sessions: &SessionStore,
    user: &User,
    replaced: Option<&Caller>,
    opened: &SessionDraft,
) {
    sessions.account_changed(user.id);
    // A form that comes again may come with the cookie of the session that it has opened.
    let Some(replaced) = replaced.filter(|replaced| replaced.session_id != opened.session.id) else { return };
    if let Err(error) = sessions.invalidate(&[Change::SessionEnded(replaced.user_id, replaced.session_id)]).await {
        tracing::warn!(%error, session_id = %replaced.session_id, "a replaced session is left to the feed");
    }
}
