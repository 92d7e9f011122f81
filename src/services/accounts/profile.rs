//! Accounts: looked up and edited by their owner, created by administrators.

use secrecy::SecretString;

use super::links::{self, Issued};
use crate::domain::audit::{AuditEvent, Client};
use crate::domain::display_name::parse_display_name;
use crate::domain::link::OneTimeLink;
use crate::domain::{
    Actor, EmailAddress, Error, Event, EventId, FieldError, FieldErrors, NameKey, Role, Timestamp, User, UserId,
    UserStatus, Username,
};
use crate::services::authorization::lock_and_recheck;
use crate::services::{AuthContext, Caller, RecentAuthContext, Result, Services};
use crate::storage::accounts::users;
use crate::storage::audit::{self, Entry};
use crate::storage::database::AnyConnection;
use crate::storage::sessions::rows;

/// What a form or body said of a new account, as it was typed.
pub struct NewAccount {
    pub username: String,
    pub email: String,
    pub name: Option<String>,
    /// In clear; checked against the policy by the service.
    pub password: SecretString,
}

/// An own profile as it shall be. `None` leaves a field; an empty name removes it.
pub struct ProfileChange {
    pub name: Option<String>,
    pub email: Option<String>,
    /// Needed where the e-mail changes.
    pub current_password: Option<SecretString>,
}

/// A new account whose fields have been found right.
pub(in crate::services) struct CheckedAccount {
    pub username: Username,
    pub email: EmailAddress,
    pub name: Option<String>,
}

impl CheckedAccount {
    pub(in crate::services) fn check(
        errors: &mut FieldErrors,
        username: &str,
        email: &str,
        name: Option<&str>,
    ) -> Option<Self> {
        let username = errors.check(Username::parse(username));
        let email = errors.check(EmailAddress::parse(email));
        let name = errors.check(parse_display_name(name.unwrap_or_default()));
        Some(Self { username: username?, email: email?, name: name? })
    }

    /// Inserts the account and gives it back.
    pub(in crate::services) fn insert(
        &self,
        connection: &mut AnyConnection,
        id: UserId,
        role: Role,
        password_hash: Option<&str>,
        now: Timestamp,
    ) -> Result<User> {
        let user = User {
            id,
            username: self.username.clone(),
            email: self.email.clone(),
            name: self.name.clone(),
            role,
            status: UserStatus::Active,
            epoch: User::FIRST_EPOCH,
            created_at: now,
            has_password: password_hash.is_some(),
            password_changed_at: password_hash.map(|_| now),
            last_sign_in_at: None,
        };
        users::insert(connection, &user, password_hash)?;
        Ok(user)
    }
}

impl Services {
    /// The account, or [`Error::NotFound`].
    pub async fn user(&self, id: UserId) -> Result<User> {
        let found = self.database.read(move |connection| users::by_id(connection, id)).await?;
        Ok(found.ok_or(Error::NotFound)?.user)
    }

    /// By username, e-mail or id, in any spelling that means the same.
    pub async fn find_user(&self, name: &str) -> Result<User> {
        if let Ok(id) = name.parse() {
            return self.user(id).await;
        }
        let key = NameKey::of_typed(name).ok_or(Error::NotFound)?;
        let found = self.database.read(move |connection| users::by_name(connection, &key)).await?;
        Ok(found.ok_or(Error::NotFound)?.user)
    }

    /// Changes name and e-mail of the caller. Another e-mail needs the password, and voids the reset link: that may have
    /// been sent to the former one.
    pub async fn update_profile(&self, caller: &Caller, change: ProfileChange, client: &Client) -> Result<User> {
        let id = caller.user_id;
        let stored = self.database.read(move |connection| users::by_id(connection, id)).await?;
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
            self.check_own_password(caller, field, &password, client).await?;
        }
        let mut changed = Vec::new();
        changed.extend((name != user.name).then_some("name"));
        changed.extend((email != user.email).then_some("email"));
        if changed.is_empty() {
            return Ok(user);
        }
        let (client, session, now) = (client.clone(), caller.session_id, self.clock.now());
        self.database
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
                users::update_profile(connection, user.id, &user.username, &email, name.as_deref())?;
                let actor = Actor::user(&user);
                let entry = Entry::success(Event::UserUpdated, &actor, &user, &client);
                audit::append(connection, &entry.detail(changed.join(", ")), now)?;
                Ok(users::by_id(connection, user.id)?.ok_or(Error::NotFound)?.user)
            })
            .await
    }

    /// What happened to the account, newest first, older than `before`.
    pub async fn activity(&self, user: UserId, before: Option<EventId>, limit: i64) -> Result<Vec<AuditEvent>> {
        self.database.read(move |connection| audit::of_subject(connection, user, before, limit)).await
    }

    /// Creates an account without a password, and the link with which its owner chooses one.
    pub async fn create_user(
        &self,
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
        let (auth, client, now) = (auth.clone(), client.clone(), self.clock.now());
        let issued = Issued::new(now + links::RESET_LINK_TTL);
        let link = issued.reset_link(&self.settings);
        let user = self
            .database
            .write(move |connection| {
                let auth = lock_and_recheck(connection, &auth)?;
                auth.require(Role::Admin)?;
                let user = checked.insert(connection, UserId::new(now), role, None, now)?;
                issued.store_for(connection, user.id)?;
                let entry = Entry::success(Event::UserCreated, &auth.actor, &user, &client);
                audit::append(connection, &entry.detail(format!("role {role}")), now)?;
                Ok(user)
            })
            .await?;
        Ok((user, link))
    }

    /// The command line's: creates an account that has its password already. There is no link.
    pub async fn create_user_with_password(
        &self,
        auth: &AuthContext,
        account: NewAccount,
        role: Role,
        client: &Client,
    ) -> Result<User> {
        auth.require_command_line()?;
        let (checked, hash) = self.check_account(&account).await?;
        let (actor, client, now) = (auth.actor.clone(), client.clone(), self.clock.now());
        self.database
            .write(move |connection| {
                let user = checked.insert(connection, UserId::new(now), role, Some(&hash), now)?;
                let entry = Entry::success(Event::UserCreated, &actor, &user, &client);
                audit::append(connection, &entry.detail(format!("role {role}, with a password")), now)?;
                Ok(user)
            })
            .await
    }

    /// Checks all fields of a new account, the password too, and hashes that.
    pub(in crate::services) async fn check_account(&self, account: &NewAccount) -> Result<(CheckedAccount, String)> {
        let mut errors = FieldErrors::default();
        let name = account.name.as_deref();
        let checked = CheckedAccount::check(&mut errors, &account.username, &account.email, name);
        let about = [account.username.as_str(), account.email.as_str(), name.unwrap_or_default()];
        let policy = self.password_policy();
        errors.check(self.hasher.check(policy, "password", &account.password, &about).await?);
        let checked = checked.filter(|_| errors.is_empty()).ok_or(Error::Invalid(errors))?;
        let hash = self.hasher.hash(&account.password).await?;
        Ok((checked, hash))
    }
}
