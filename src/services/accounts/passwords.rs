//! Passwords: changed, reset, set.

use secrecy::SecretString;

use super::{links, lookup};
use crate::domain::audit::Client;
use crate::domain::link::LinkPurpose;
use crate::domain::password::PasswordPolicy;
use crate::domain::{Actor, EndReason, Error, Event, Timestamp, User, UserId};
use crate::services::authentication::lockout;
use crate::services::authentication::reauthentication::{NextSecret, still_checked};
use crate::services::authorization::{Authorized, authorize_on};
use crate::services::sessions::history;
use crate::services::{AuthContext, Caller, NewSecret, Result, Services};
use crate::settings::Settings;
use crate::storage::accounts::users;
use crate::storage::audit::{self, Entry};
use crate::storage::authentication::lockouts;
use crate::storage::database::AnyConnection;
use crate::storage::sessions::rows::{self, End};
use crate::storage::sessions::{Change, account};

/// Ends all other sessions; this one gets a new secret, and a form that comes again the same. A wrong current password
/// names the field.
pub async fn change(
    services: &Services,
    caller: &Caller,
    current: &SecretString,
    new: &SecretString,
    client: &Client,
) -> Result<NewSecret> {
    let next = NextSecret::of(caller, client);
    let hash = next.hash();
    let change = async {
        let checked = lockout::check_own_password(services, caller, "current_password", current, client).await?;
        let password = check_new(services, &checked, new).await?;
        let (caller, client, now) = (caller.clone(), client.clone(), services.clock.now());
        services
            .database
            .write(move |connection| {
                let (user, session) = still_checked(connection, &checked, &caller, hash, now)?;
                let actor = Actor::user(&user);
                let kept = Some(caller.session_id);
                replace_password(connection, &user, &password, kept, &actor, &client, now)?;
                let epoch = users::raise_epoch(connection, user.id)?;
                rows::set_secret(connection, user.id, caller.session_id, hash, epoch, now)?;
                Ok(session.remember)
            })
            .await
    };
    let secret = next.give(services, caller, change).await?;
    history::settle(services).await;
    Ok(secret)
}

/// Uses a reset link up: sets the password, ends all sessions. The account is as it is then, also for the same form that
/// comes again.
pub async fn reset(services: &Services, token: &str, new: &SecretString, client: &Client) -> Result<User> {
    let user = match use_reset_link(services, token, new, client).await {
        Err(Error::LinkGone) => links::reset_by(services, client).await?.ok_or(Error::LinkGone)?,
        done => done?,
    };
    // Also where it was done before: a retry after a 503 reaches Redis.
    services.sessions.invalidate(&[Change::User(user.id)]).await?;
    history::settle(services).await;
    Ok(user)
}

async fn use_reset_link(services: &Services, token: &str, new: &SecretString, client: &Client) -> Result<User> {
    let (user, _) = links::find_reset(services, token).await?;
    let password = check_new(services, &user, new).await?;
    let (token, client, now) = (token.to_owned(), client.clone(), services.clock.now());
    services
        .database
        .write(move |connection| {
            // The account before its link, as everyone does who voids links.
            let user = users::lock(connection, user.id)?.ok_or(Error::LinkGone)?.user;
            links::consume(connection, LinkPurpose::Reset, &token, now)?;
            replace_password(connection, &user, &password, None, &Actor::user(&user), &client, now)?;
            links::note_reset(connection, user.id, &client, now)?;
            let epoch = users::raise_epoch(connection, user.id)?;
            Ok(User { epoch, password_changed_at: Some(now), ..user })
        })
        .await
}

/// The command line's: sets the password, ends all sessions.
pub async fn set(
    services: &Services,
    auth: &AuthContext,
    user: UserId,
    new: &SecretString,
    client: &Client,
) -> Result<User> {
    auth.require_command_line()?;
    let found = lookup::by_id(&services.database, user).await?;
    let password = check_new(services, &found, new).await?;
    let (auth, client, now) = (auth.clone(), client.clone(), services.clock.now());
    services
        .database
        .write(move |connection| {
            let Authorized { actor, user } = authorize_on(connection, &auth, &user.into())?;
            replace_password(connection, &user, &password, None, &actor, &client, now)?;
            users::raise_epoch(connection, user.id)?;
            Ok(())
        })
        .await?;
    services.sessions.invalidate(&[Change::User(user)]).await?;
    history::settle(services).await;
    Ok(found)
}

async fn check_new(services: &Services, user: &User, new: &SecretString) -> Result<String> {
    let about = [user.username.as_str(), user.email.as_str(), user.name.as_deref().unwrap_or_default()];
    let checked = services.hasher.check(policy(&services.settings), "new_password", new, &about).await?;
    checked.map_err(|error| Error::Invalid(error.into()))?;
    services.hasher.hash(new).await
}

pub(in crate::services) fn policy(settings: &Settings) -> PasswordPolicy {
    PasswordPolicy { min_length: settings.password_min_length, min_score: settings.password_min_score }
}

/// Stores a new password, ends all sessions but `kept`, and begins to count failures anew. The caller raises the epoch, last.
fn replace_password(
    connection: &mut AnyConnection,
    user: &User,
    hash: &str,
    kept: Option<crate::domain::SessionId>,
    by: &Actor,
    client: &Client,
    now: Timestamp,
) -> Result<()> {
    users::set_password(connection, user.id, hash, now)?;
    lockouts::forget_user(connection, user.id)?;
    links::void_reset_links(connection, user.id)?;
    let end = End { reason: EndReason::PasswordChanged, by, at: now };
    account::end_all(connection, user.id, kept, &end)?;
    let mut entry = Entry::success(Event::PasswordChanged, by, user, client);
    entry.session_id = kept;
    audit::append(connection, &entry, now)
}
