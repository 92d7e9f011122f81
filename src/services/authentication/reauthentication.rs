//! The password asked for again, before a sensitive act.

use secrecy::SecretString;

use crate::domain::audit::Client;
use crate::domain::keys::{Secret, SessionHandle};
use crate::domain::{Error, Timestamp, User};
use crate::services::authentication::lockout;
use crate::services::{Caller, NewSecret, Result, Services};
use crate::storage::accounts::users;
use crate::storage::database::AnyConnection;
use crate::storage::sessions::{Change, SessionStore, rows, snapshot};

/// The password entered again on `/confirm`: the session gets a new secret and a new time of entry.
pub async fn confirm(
    services: &Services,
    caller: &Caller,
    password: &SecretString,
    client: &Client,
) -> Result<NewSecret> {
    let checked = lockout::check_own_password(services, caller, "password", password, client).await?;
    let (secret, now) = (Secret::generate(), services.clock.now());
    let (caller_, hash) = (caller.clone(), secret.hash());
    let remember = services
        .database
        .write(move |connection| {
            let (user, session) = still_checked(connection, &checked, &caller_, now)?;
            rows::set_secret(connection, user.id, caller_.session_id, hash, user.epoch, now)?;
            users::raise_rev(connection, user.id)?;
            Ok(session.remember)
        })
        .await?;
    Ok(deliver(&services.sessions, caller, secret, remember).await)
}

/// After the commit of a new secret the browser must get it, even when Redis can't be told.
pub(in crate::services) async fn deliver(
    sessions: &SessionStore,
    caller: &Caller,
    secret: Secret,
    remember: bool,
) -> NewSecret {
    let change = Change::SecretChanged(caller.user_id, caller.session_id);
    let delivered = sessions.invalidate(&[change]).await;
    let handle = SessionHandle { user_id: caller.user_id, session_id: caller.session_id, secret };
    NewSecret { handle, remember, delivered }
}

/// The account, locked, and the caller's session, if both still are what the password was checked for: an entry of the
/// password doesn't wake a session that was ended meanwhile, and that of a former password does nothing.
pub(in crate::services) fn still_checked(
    connection: &mut AnyConnection,
    checked: &User,
    caller: &Caller,
    now: Timestamp,
) -> Result<(User, crate::domain::Session)> {
    let user = users::lock(connection, caller.user_id)?.ok_or(Error::NotSignedIn)?.user;
    let found = snapshot::read(connection, user.id, caller.session_id)?;
    let lag = crate::storage::sessions::ACTIVITY_LAG;
    let found = found.filter(|found| found.is_live(now, lag)).ok_or(Error::NotSignedIn)?;
    if user.epoch == checked.epoch { Ok((user, found.session)) } else { Err(Error::Raced) }
}
