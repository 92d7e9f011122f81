//! An account that is about to be created.

use secrecy::SecretString;

use crate::domain::display_name::parse_display_name;
use crate::domain::{EmailAddress, Error, FieldErrors, Role, Timestamp, User, UserId, UserStatus, Username};
use crate::services::accounts::passwords;
use crate::services::{Result, Services};
use crate::storage::accounts::profiles;
use crate::storage::database::AnyConnection;

/// What a form or body said of a new account, as it was typed.
pub struct NewAccount {
    pub username: String,
    pub email: String,
    pub name: Option<String>,
    /// In clear; checked against the policy by the service.
    pub password: SecretString,
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
        profiles::insert(connection, &user, password_hash)?;
        Ok(user)
    }
}

/// Checks all fields of a new account, the password too, and hashes that.
pub(in crate::services) async fn check(services: &Services, account: &NewAccount) -> Result<(CheckedAccount, String)> {
    let mut errors = FieldErrors::default();
    let name = account.name.as_deref();
    let checked = CheckedAccount::check(&mut errors, &account.username, &account.email, name);
    let about = [account.username.as_str(), account.email.as_str(), name.unwrap_or_default()];
    let policy = passwords::policy(&services.settings);
    errors.check(services.hasher.check(policy, "password", &account.password, &about).await?);
    let checked = checked.filter(|_| errors.is_empty()).ok_or(Error::Invalid(errors))?;
    let hash = services.hasher.hash(&account.password).await?;
    Ok((checked, hash))
}
