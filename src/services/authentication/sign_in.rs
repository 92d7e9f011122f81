//! Signing in, in a browser or by a program.

use secrecy::SecretString;

use super::lockout::{self, Authenticated};
use crate::domain::audit::Client;
use crate::domain::device::clean_device_name;
use crate::domain::{SessionKind, User};
use crate::services::sessions::draft::{self, Opener, SessionDraft};
use crate::services::sessions::tokens::{self, IssuedTokens};
use crate::services::tally::SignInOutcome;
use crate::services::{Caller, Result, Services, SignedIn};
use crate::storage::accounts::users::{self, StoredUser};

/// Checks the password of the account with that username or e-mail, and opens a session.
/// `replaces` is the browser's earlier session, which ends.
///
/// Unknown name, wrong password, no password yet and suspended account are one answer; see [`super::lockout`].
pub async fn browser(
    services: &Services,
    name: &str,
    password: &SecretString,
    remember: bool,
    replaces: Option<&Caller>,
    client: &Client,
) -> Result<SignedIn> {
    let opener = Opener::Browser { remember };
    let opened = open_session(services, name, password, opener, replaces, client).await;
    services.tally.sign_ins.count((SessionKind::Browser, SignInOutcome::of(&opened)));
    let (user, draft) = opened?;
    Ok(draft.into_signed_in(user))
}

/// What a sign-in of any kind does. The session's time begins when the password has been checked.
async fn open_session(
    services: &Services,
    name: &str,
    password: &SecretString,
    opener: Opener,
    replaces: Option<&Caller>,
    client: &Client,
) -> Result<(User, SessionDraft)> {
    // Read before the password is checked, epoch included: an "end all" that comes between is seen by the insert.
    let Authenticated { account: StoredUser { user, password_hash }, outdated } =
        lockout::check_credentials(services, name, password, client).await?;
    let rehashed = if outdated { Some(services.hasher.hash(password).await?) } else { None };

    let draft = SessionDraft::new(services, opener, client);
    let (subject, client) = (user.clone(), client.clone());
    let replaced = replaces.cloned();
    let draft = services
        .database
        .write(move |connection| {
            let opened = draft.open(connection, &subject, replaced.as_ref(), &client)?;
            if let Some((old, new)) = password_hash.as_ref().zip(rehashed.as_ref()) {
                users::rehash(connection, subject.id, old, new)?;
            }
            Ok(opened)
        })
        .await?;
    draft::invalidate_opened(&services.sessions, &user, replaces, &draft).await;
    Ok((draft.noted(user), draft))
}

/// Checks the password and opens a session of kind `api`. `device_name` goes before what the user agent says.
///
/// # Errors
/// As [`browser`].
pub async fn program(
    services: &Services,
    name: &str,
    password: &SecretString,
    device_name: Option<&str>,
    client: &Client,
) -> Result<IssuedTokens> {
    let device = device_name.and_then(clean_device_name);
    let opener = Opener::Program { device };
    let issued = async {
        let (user, draft) = open_session(services, name, password, opener, None, client).await?;
        tokens::issue(services, draft.token_family(&user), 0, user).await
    };
    let issued = issued.await;
    services.tally.sign_ins.count((SessionKind::Api, SignInOutcome::of(&issued)));
    issued
}
