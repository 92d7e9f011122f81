//! The password asked for again, before a sensitive act.

use secrecy::SecretString;

use crate::domain::audit::Client;
use crate::domain::keys::{Secret, SecretHash, SessionHandle};
use crate::domain::{Error, Timestamp, User};
use crate::services::authentication::lockout;
use crate::services::sessions::own;
use crate::services::{Caller, NewSecret, Result, Services};
use crate::storage::accounts::users;
use crate::storage::database::AnyConnection;
use crate::storage::sessions::{Change, rows, snapshot};

/// The password entered again on `/confirm`: the session gets a new secret and a new time of entry. A form that comes again
/// gets the same secret again.
pub async fn confirm(
    services: &Services,
    caller: &Caller,
    password: &SecretString,
    client: &Client,
) -> Result<NewSecret> {
    let next = NextSecret::of(caller, client);
    let (caller_, hash) = (caller.clone(), next.hash());
    let entry = async {
        let checked = lockout::check_own_password(services, caller, "password", password, client).await?;
        let now = services.clock.now();
        services
            .database
            .write(move |connection| {
                let (user, session) = still_checked(connection, &checked, &caller_, hash, now)?;
                rows::set_secret(connection, user.id, caller_.session_id, hash, user.epoch, now)?;
                users::raise_rev(connection, user.id)?;
                Ok(session.remember)
            })
            .await
    };
    next.give(services, caller, entry).await
}

/// The secret that an entry of the password gives its session.
pub(in crate::services) struct NextSecret {
    secret: Secret,
    /// Whether the form that asks for it would be given the same again.
    of_form: bool,
}

impl NextSecret {
    pub(in crate::services) fn of(caller: &Caller, client: &Client) -> Self {
        let of_form = client.form.as_ref().and_then(|form| form.next_secret(caller.session_id));
        Self { of_form: of_form.is_some(), secret: of_form.unwrap_or_else(Secret::generate) }
    }

    pub(in crate::services) fn hash(&self) -> SecretHash {
        self.secret.hash()
    }

    /// Lets `entry` set it, which says whether the cookie outlives the browser; or nobody, where the same form has done so a
    /// moment ago. After the commit the browser must get it, even when Redis can't be told.
    pub(in crate::services) async fn give(
        self,
        services: &Services,
        caller: &Caller,
        entry: impl Future<Output = Result<bool>>,
    ) -> Result<NewSecret> {
        let remember = match self.given(services, caller).await? {
            Some(remember) => remember,
            None => match entry.await {
                Ok(remember) => remember,
                // Of two that came at once, the other may have set it meanwhile, and so be what was in the way.
                Err(error) => self.given(services, caller).await?.ok_or(error)?,
            },
        };
        let Caller { user_id, session_id, .. } = *caller;
        let delivered = services.sessions.invalidate(&[Change::SecretChanged(user_id, session_id)]).await;
        let handle = SessionHandle { user_id, session_id, secret: self.secret };
        Ok(NewSecret { handle, remember, delivered })
    }

    async fn given(&self, services: &Services, caller: &Caller) -> Result<Option<bool>> {
        if !self.of_form {
            return Ok(None);
        }
        let found = own::renewed_lately(services, caller.user_id, caller.session_id, self.hash()).await?;
        Ok(found.map(|session| session.remember))
    }
}

/// The account, locked, and the caller's session, if both still are what the password was checked for: an entry of the
/// password doesn't wake a session that was ended meanwhile, and that of a former password does nothing. Nor does a form
/// whose secret the session has already.
pub(in crate::services) fn still_checked(
    connection: &mut AnyConnection,
    checked: &User,
    caller: &Caller,
    next: SecretHash,
    now: Timestamp,
) -> Result<(User, crate::domain::Session)> {
    let user = users::lock(connection, caller.user_id)?.ok_or(Error::NotSignedIn)?.user;
    let found = snapshot::read(connection, user.id, caller.session_id)?;
    let lag = crate::storage::sessions::ACTIVITY_LAG;
    let found = found.filter(|found| found.is_live(now, lag)).ok_or(Error::NotSignedIn)?;
    if user.epoch == checked.epoch && !found.admits(Some(next)) { Ok((user, found.session)) } else { Err(Error::Raced) }
}
