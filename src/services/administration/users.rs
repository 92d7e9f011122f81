//! Accounts as managers find them, and administrators create and edit them.

use std::fmt::Display;
use std::str::FromStr;

use crate::domain::audit::Client;
use crate::domain::cursor::{NoSuchCursor, PagedList, cut};
use crate::domain::display_name::parse_display_name;
use crate::domain::link::OneTimeLink;
use crate::domain::lookup::{parse_search, search_form};
use crate::domain::{EmailAddress, Error, Event, FieldErrors, Role, Timestamp, User, UserId, UserStatus, Username};
use crate::services::accounts::links::{self, Issued};
use crate::services::accounts::new_account::{self, CheckedAccount, NewAccount};
use crate::services::authentication::lockout;
use crate::services::authorization::{Authorized, Subject, authorize_admin_on, lock_and_recheck};
use crate::services::{AuthContext, RecentAuthContext, Result, Services};
use crate::storage::accounts::{former_usernames, profiles};
use crate::storage::administration::user_search::{self, UserFilter, UserPosition};
pub use crate::storage::administration::user_search::{FoundUser, UserSort};
use crate::storage::audit::{self, Entry};
use crate::storage::sessions::Change;

/// Which accounts, in which order.
#[derive(Clone, Debug)]
pub struct UserSearch {
    /// A part of username, e-mail or name, as it was typed; empty finds all.
    pub text: String,
    pub role: Option<Role>,
    pub status: Option<UserStatus>,
    /// Only those that are locked.
    pub locked: bool,
    pub sort: UserSort,
}

/// A page of a list of accounts.
#[derive(Default)]
pub struct UserPage {
    pub users: Vec<FoundUser>,
    /// How many came before them.
    pub before: u64,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
    /// How many accounts there are, about; known only where nobody is left out.
    pub total: Option<i64>,
}

/// An account as it shall be. `None` leaves a field; an empty name removes it.
#[derive(Default)]
pub struct UserChange {
    pub username: Option<String>,
    pub email: Option<String>,
    pub name: Option<String>,
}

/// At most `limit` accounts after `cursor`.
///
/// # Errors
/// [`Error::Invalid`] names the field `cursor` where it was not written for this list, or `q` where the text is too
/// long to be found.
pub async fn search(
    services: &Services,
    auth: &AuthContext,
    search: &UserSearch,
    cursor: Option<&str>,
    limit: u16,
) -> Result<UserPage> {
    auth.require(Role::Manager)?;
    let text = parse_search(&search.text).map_err(|error| Error::Invalid(error.into()))?;
    let filter =
        UserFilter { text: search_form(text), role: search.role, status: search.status, locked: search.locked };
    let rule = lockout::rule(services);
    let (sort, limit) = (search.sort, usize::from(limit));
    let list = PagedList::new(&services.root_key, list_name(&filter, sort));
    let place: Option<ListPosition> = list.place(cursor)?;
    let before = place.as_ref().map_or(0, |place| place.before);
    let (mut users, total) = services
        .database
        .read(move |connection| {
            let total = filter.is_empty().then(|| user_search::total(connection)).transpose()?;
            let after = place.as_ref().map(|place| &place.after);
            Ok((user_search::search(connection, &filter, sort, after, limit as i64 + 1, rule)?, total))
        })
        .await?;
    let followed = cut(&mut users, limit);
    let next = users.last().filter(|_| followed).map(|last| {
        let place = ListPosition { before: before + limit as u64, after: UserPosition::of(&last.user, sort) };
        list.cursor(&place)
    });
    Ok(UserPage { users, before, next, total })
}

/// Changes username, e-mail and name of any account. Another e-mail voids its reset link: that may have been sent
/// to the former one.
pub async fn update(
    services: &Services,
    auth: &RecentAuthContext,
    subject: impl Into<Subject>,
    change: UserChange,
    client: &Client,
) -> Result<User> {
    auth.require(Role::Admin)?;
    let mut errors = FieldErrors::default();
    let username = errors.check(change.username.as_deref().map(Username::parse).transpose());
    let email = errors.check(change.email.as_deref().map(EmailAddress::parse).transpose());
    let name = errors.check(change.name.as_deref().map(parse_display_name).transpose());
    let (Some(username), Some(email), Some(name)) = (username, email, name) else {
        return Err(Error::Invalid(errors));
    };
    let (auth, client, now) = (auth.clone(), client.clone(), services.clock.now());
    let subject = subject.into();
    let user = services
        .database
        .write(move |connection| {
            let Authorized { actor, user: before } = authorize_admin_on(connection, &auth, &subject.id().into())?;
            let mut after = before.clone();
            after.username = username.clone().unwrap_or(after.username);
            after.email = email.clone().unwrap_or(after.email);
            after.name = name.clone().unwrap_or(after.name);
            let mut changed = Vec::new();
            if after.username != before.username {
                // The log tells under which name the account is found from now on.
                changed.push(format!("username {} to {}", before.username, after.username));
            }
            changed.extend((after.email != before.email).then(|| "email".to_owned()));
            changed.extend((after.name != before.name).then(|| "name".to_owned()));
            // What is so already needs no change, whoever has made it: a form that comes twice was overtaken by itself.
            if changed.is_empty() {
                return Ok(before);
            }
            subject.check_version(&before)?;
            if after.email != before.email {
                links::void_reset_links(connection, before.id)?;
            }
            profiles::update(connection, before.id, &after.username, &after.email, after.name.as_deref())?;
            let former = before.username.key();
            if after.username.key() != former {
                former_usernames::keep(connection, &former, before.id, now)?;
            }
            let entry = Entry::success(Event::UserUpdated, &actor, &after, &client);
            audit::append(connection, &entry.detail(changed.join(", ")), now)?;
            Ok(after)
        })
        .await?;
    // Also where nothing changed: a retry after a 503 reaches Redis.
    services.sessions.invalidate(&[Change::User(user.id)]).await?;
    Ok(user)
}

/// Creates an account without a password, and the link with which its owner chooses one. A form that comes again is given
/// both again.
pub async fn create(
    services: &Services,
    auth: &RecentAuthContext,
    username: &str,
    email: &str,
    name: Option<&str>,
    role: Role,
    client: &Client,
) -> Result<(User, OneTimeLink)> {
    auth.require(Role::Admin)?;
    let mut errors = FieldErrors::default();
    let checked = CheckedAccount::check(&mut errors, username, email, name).ok_or(Error::Invalid(errors))?;
    let (auth, sender, now) = (auth.clone(), client.clone(), services.clock.now());
    let id = UserId::new(now);
    let issued = Issued::of_new_account(id, client, now + links::RESET_LINK_TTL);
    let link = issued.reset_link(&services.settings);
    let created = services
        .database
        .write(move |connection| {
            let auth = lock_and_recheck(connection, &auth)?;
            auth.require(Role::Admin)?;
            let user = checked.insert(connection, id, role, None, now)?;
            issued.store_for(connection, user.id)?;
            let entry = Entry::success(Event::UserCreated, &auth.actor, &user, &sender);
            audit::append(connection, &entry.detail(format!("role {role}")), now)?;
            Ok(user)
        })
        .await;
    match created {
        Ok(user) => Ok((user, link)),
        Err(error @ Error::Taken(_)) => links::created_by(services, username, client).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// The command line's: creates an account that has its password already. There is no link.
pub async fn create_with_password(
    services: &Services,
    auth: &AuthContext,
    account: NewAccount,
    role: Role,
    client: &Client,
) -> Result<User> {
    auth.require_command_line()?;
    let (checked, hash) = new_account::check(services, &account).await?;
    let (actor, client, now) = (auth.actor.clone(), client.clone(), services.clock.now());
    services
        .database
        .write(move |connection| {
            let user = checked.insert(connection, UserId::new(now), role, Some(&hash), now)?;
            let entry = Entry::success(Event::UserCreated, &actor, &user, &client);
            audit::append(connection, &entry.detail(format!("role {role}, with a password")), now)?;
            Ok(user)
        })
        .await
}

/// The list for which a cursor is good.
fn list_name(filter: &UserFilter, sort: UserSort) -> String {
    let role = filter.role.map_or("", Role::as_str);
    let status = filter.status.map_or("", UserStatus::as_str);
    format!("users {sort} role={role} status={status} locked={} q={}", filter.locked, filter.text)
}

/// What a cursor says.
#[derive(Debug, PartialEq)]
struct ListPosition {
    /// How many accounts came before it.
    before: u64,
    after: UserPosition,
}

impl Display for ListPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.after {
            UserPosition::Username(key) => write!(f, "{} {key}", self.before),
            UserPosition::Creation(at, id) => write!(f, "{} {} {id}", self.before, at.timestamp_millis()),
        }
    }
}

impl FromStr for ListPosition {
    type Err = NoSuchCursor;

    fn from_str(text: &str) -> std::result::Result<Self, NoSuchCursor> {
        let place = || {
            let mut words = text.split(' ');
            let before = words.next()?.parse().ok()?;
            let after = match (words.next()?, words.next()) {
                (key, None) => UserPosition::Username(key.to_owned()),
                (at, Some(id)) => UserPosition::Creation(Timestamp::from_millis(at.parse().ok()?), id.parse().ok()?),
            };
            Some(Self { before, after })
        };
        place().ok_or(NoSuchCursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Clock, UserId};

    #[test]
    fn a_place_in_a_list_is_read_back_as_it_was_written() {
        let now = Clock::default().now();
        for after in [UserPosition::Username("ada".to_owned()), UserPosition::Creation(now, UserId::new(now))] {
            let place = ListPosition { before: 50, after };
            assert_eq!(place.to_string().parse(), Ok(place));
        }
    }
}
