//! People who create their own account, in a browser or by a program.

use super::new_account::{self, NewAccount};
use super::setup;
use crate::domain::audit::Client;
use crate::domain::device::clean_device_name;
use crate::domain::{Actor, Error, Event, Role, User, UserId};
use crate::services::sessions::draft::{self, Opener, SessionDraft};
use crate::services::sessions::tokens::{self, IssuedTokens};
use crate::services::{Caller, Result, Services, SignedIn};
use crate::settings::Registration;
use crate::storage::audit::{self, Entry};

/// Whether `/register` is open: the setting says so and an administrator exists.
pub async fn is_open(services: &Services) -> Result<bool> {
    Ok(services.settings.registration == Registration::Open && setup::administrator_exists(&services.database).await?)
}

/// Creates the account with role `user` and signs in. `replaces` is the browser's earlier session, which ends. A form that
/// comes again is signed in as it was.
pub async fn register(
    services: &Services,
    account: NewAccount,
    replaces: Option<&Caller>,
    client: &Client,
) -> Result<SignedIn> {
    let (opener, username) = (Opener::Browser { remember: false }, account.username.clone());
    match open_account(services, account, opener, replaces, client).await {
        Ok((user, draft)) => Ok(draft.into_signed_in(user)),
        Err(error @ Error::Taken(_)) => draft::opened_with_account(services, &username, client).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// What a registration of any kind does.
async fn open_account(
    services: &Services,
    account: NewAccount,
    opener: Opener,
    replaces: Option<&Caller>,
    client: &Client,
) -> Result<(User, SessionDraft)> {
    if !is_open(services).await? {
        return Err(Error::RegistrationClosed);
    }
    let (checked, hash) = new_account::check(services, &account).await?;
    let draft = SessionDraft::new(services, opener, client);
    let (client, now) = (client.clone(), draft.opened_at());
    let replaced = replaces.cloned();
    let (draft, user) = services
        .database
        .write(move |connection| {
            let user = checked.insert(connection, UserId::new(now), Role::User, Some(&hash), now)?;
            let actor = Actor::user(&user);
            audit::append(connection, &Entry::success(Event::UserRegistered, &actor, &user, &client), now)?;
            Ok((draft.open(connection, &user, replaced.as_ref(), &client)?, user))
        })
        .await?;
    draft::invalidate_opened(&services.sessions, &user, replaces, &draft).await;
    Ok((draft.noted(user), draft))
}

/// Creates the account with role `user` and opens a session of kind `api`.
///
/// # Errors
/// As [`register`].
pub async fn register_program(
    services: &Services,
    account: NewAccount,
    device_name: Option<&str>,
    client: &Client,
) -> Result<IssuedTokens> {
    let device = device_name.and_then(clean_device_name);
    let opener = Opener::Program { device };
    let (user, draft) = open_account(services, account, opener, None, client).await?;
    tokens::issue(services, draft.token_family(&user), 0, user).await
}
