//! Accounts as their owners edit them.

use secrecy::SecretString;

use super::links;
use crate::domain::audit::Client;
use crate::domain::display_name::parse_display_name;
use crate::domain::{Actor, EmailAddress, Error, Event, FieldError, FieldErrors, User};
use crate::services::authentication::lockout;
use crate::services::{Caller, Result, Services};
use crate::storage::accounts::{profiles, users};
use crate::storage::audit::{self, Entry};
use crate::storage::sessions::{Change, rows};

/// An own profile as it shall be. `None` leaves a field; an empty name removes it.
pub struct ProfileChange {
    pub name: Option<String>,
    pub email: Option<String>,
    /// Needed where the e-mail changes.
    pub current_password: Option<SecretString>,
}

/// Changes name and e-mail of the caller. Another e-mail needs the password, and voids the reset link: that may have
/// been sent to the former one.
pub async fn update(services: &Services, caller: &Caller, change: ProfileChange, client: &Client) -> Result<User> {
    let id = caller.user_id;
    let stored = services.database.read(move |connection| users::by_id(connection, id)).await?;
    let user = stored.ok_or(Error::NotSignedIn)?.user;

    let mut errors = FieldErrors::default();
    let name = change.name.as_deref().map(parse_display_name).unwrap_or_else(|| Ok(user.name.clone()));
    let name = errors.check(name);
    let email = change.email.as_deref().map(EmailAddress::parse).unwrap_or_else(|| Ok(user.email.clone()));
    let email = errors.check(email);
    let (Some(name), Some(email)) = (name, email) else { return Err(Error::Invalid(errors)) };

    if email != user.email {
        let field = "current_password";
        let Some(password) = change.current_password else {
            let message = "Enter your password to change the e-mail.";
            return Err(Error::Invalid(FieldError::new(field, "required", message).into()));
        };
        lockout::check_own_password(services, caller, field, &password, client).await?;
    }
    let mut changed = Vec::new();
    changed.extend((name != user.name).then_some("name"));
    changed.extend((email != user.email).then_some("email"));
    if changed.is_empty() {
        return Ok(user);
    }
    let (client, session, now) = (client.clone(), caller.session_id, services.clock.now());
    let user = services
        .database
        .write(move |connection| {
            // A former password, checked before it was changed, changes nothing after.
            if users::lock(connection, user.id)?.ok_or(Error::NotSignedIn)?.user.epoch != user.epoch {
                return Err(Error::Raced);
            }
            // Nor does a session that ended since the request began.
            if !rows::is_open(connection, &user, session)? {
                return Err(Error::NotSignedIn);
            }
            if email != user.email {
                links::void_reset_links(connection, user.id)?;
            }
            profiles::update(connection, user.id, &user.username, &email, name.as_deref())?;
            let actor = Actor::user(&user);
            let entry = Entry::success(Event::UserUpdated, &actor, &user, &client);
            audit::append(connection, &entry.detail(changed.join(", ")), now)?;
            Ok(users::by_id(connection, user.id)?.ok_or(Error::NotFound)?.user)
        })
        .await?;
    services.sessions.invalidate(&[Change::User(id)]).await?;
    Ok(user)
}
