//! The first administrator.

use super::links;
use super::new_account::{self, NewAccount};
use crate::domain::audit::Client;
use crate::domain::link::LinkPurpose;
use crate::domain::{Actor, Error, Event, Role, User, UserId};
use crate::services::sessions::draft::{self, Opener, SessionDraft};
use crate::services::{Result, Services, SignedIn};
use crate::storage::Database;
use crate::storage::accounts::users;
use crate::storage::audit::{self, Entry};
use crate::storage::database::AnyConnection;

/// Whether an active administrator exists. Registration is closed until then.
pub async fn administrator_exists(database: &Database) -> Result<bool> {
    database.read(users::administrator_exists).await
}

/// Consumes the link, creates the administrator and signs in. A form that comes again is signed in as it was.
pub async fn complete(services: &Services, token: &str, account: NewAccount, client: &Client) -> Result<SignedIn> {
    let username = account.username.clone();
    match use_setup_link(services, token, account, client).await {
        Err(Error::LinkGone) => draft::opened_with_account(services, &username, client).await?.ok_or(Error::LinkGone),
        done => done,
    }
}

async fn use_setup_link(services: &Services, token: &str, account: NewAccount, client: &Client) -> Result<SignedIn> {
    links::find_setup(services, token).await?; // before a password is hashed for nothing
    let (checked, hash) = new_account::check(services, &account).await?;
    let draft = SessionDraft::new(services, Opener::Browser { remember: false }, client);
    let (token, client, now) = (token.to_owned(), client.clone(), draft.opened_at());
    let (draft, user) = services
        .database
        .write(move |connection| {
            if !none_but_this(connection)? {
                return Err(Error::LinkGone);
            }
            links::consume(connection, LinkPurpose::Setup, &token, now)?;
            let user = checked.insert(connection, UserId::new(now), Role::Admin, Some(&hash), now)?;
            let actor = Actor::user(&user);
            audit::append(connection, &Entry::success(Event::SetupCompleted, &actor, &user, &client), now)?;
            Ok((draft.open(connection, &user, None, &client)?, user))
        })
        .await?;
    Ok(draft.into_signed_in(user))
}

/// Creates the administrator that the `bootstrap_admin_*` settings describe, if none exists.
pub async fn bootstrap(services: &Services) -> Result<Option<User>> {
    let settings = &services.settings;
    let (Some(username), Some(email), Some(password)) = (
        settings.bootstrap_admin_username.clone(),
        settings.bootstrap_admin_email.clone(),
        settings.bootstrap_admin_password.clone(),
    ) else {
        return Ok(None);
    };
    if administrator_exists(&services.database).await? {
        return Ok(None);
    }
    let account = NewAccount { username, email, name: None, password };
    let (checked, hash) = new_account::check(services, &account).await?;
    let now = services.clock.now();
    services
        .database
        .write(move |connection| {
            if !none_but_this(connection)? {
                return Ok(None);
            }
            let user = checked.insert(connection, UserId::new(now), Role::Admin, Some(&hash), now)?;
            let client = Client::default();
            let entry = Entry::success(Event::SetupCompleted, &Actor::System, &user, &client);
            audit::append(connection, &entry.detail("from the bootstrap settings"), now)?;
            Ok(Some(user))
        })
        .await
}

/// Whether there is no administrator, and none will come before this transaction has made one: of two links, or of link
/// and bootstrap settings, one makes the first. There is no row yet that both could lock, so it is the table.
fn none_but_this(connection: &mut AnyConnection) -> Result<bool> {
    users::lock_all(connection)?;
    Ok(!users::administrator_exists(connection)?)
}
