//! An account as a line of JSON.

use chrono::DateTime;
use serde::{Deserialize, Serialize};

use crate::domain::clock::rfc3339;
use crate::domain::field::{FieldError, FieldErrors};
use crate::domain::json::{self, Unreadable};
use crate::domain::{Role, Timestamp, User, UserId, UserStatus};
use crate::services::accounts::new_account::CheckedAccount;
use crate::services::authentication::hasher::Hasher;
use crate::storage::accounts::users::StoredUser;

/// Bytes of the longest line that is read.
pub const MAX_LINE: usize = 64 * 1024;

/// What a line says; only the first two must be there. What is not said is as in a new account.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    username: String,
    email: String,
    name: Option<String>,
    role: Option<String>,
    status: Option<String>,
    /// RFC 3339.
    created_at: Option<String>,
    last_sign_in_at: Option<String>,
    /// In any form of [`crate::domain::password_hash`]. Nothing, an empty text, and one that begins with `!` (Django's
    /// for an unusable password) mean that there is none.
    password_hash: Option<String>,
    /// A UUID. It is kept, so that what other services know by it stays the same.
    id: Option<String>,
}

/// The names of all its fields.
pub const FIELDS: [&str; 9] =
    ["username", "email", "name", "role", "status", "created_at", "last_sign_in_at", "password_hash", "id"];

impl From<StoredUser> for Record {
    fn from(StoredUser { user, password_hash }: StoredUser) -> Self {
        Self {
            username: user.username.as_str().to_owned(),
            email: user.email.as_str().to_owned(),
            name: user.name,
            role: Some(user.role.to_string()),
            status: Some(user.status.to_string()),
            created_at: Some(rfc3339(user.created_at)),
            last_sign_in_at: user.last_sign_in_at.map(rfc3339),
            password_hash,
            id: Some(user.id.to_string()),
        }
    }
}

/// An account to be imported.
pub(super) struct Candidate {
    pub account: StoredUser,
    /// Of its password hash: [`Hasher::is_costly`].
    pub costly: bool,
}

/// The account of a line, or all that is wrong with it.
pub(super) fn read(line: &[u8], ignored: &[String], hasher: &Hasher, now: Timestamp) -> Result<Candidate, FieldErrors> {
    let Record { username, email, name, role, status, created_at, last_sign_in_at, password_hash, id } =
        parse(line, ignored)?;
    let mut errors = FieldErrors::default();
    let checked = CheckedAccount::check(&mut errors, &username, &email, name.as_deref());
    let role = errors.check(word("role", role.as_deref(), Role::User, "Write user, manager or admin."));
    let status = errors.check(word("status", status.as_deref(), UserStatus::Active, "Write active or suspended."));
    let created_at = errors.check(moment("created_at", created_at.as_deref(), now));
    let last_sign_in_at = errors.check(moment("last_sign_in_at", last_sign_in_at.as_deref(), now));
    let password_hash = password_hash.filter(|text| !text.is_empty() && !text.starts_with('!'));
    let password_hash = errors.check(password_hash.map(|text| hasher.admit(&text)).transpose());
    let id = errors.check(id.as_deref().map(parse_id).transpose());
    match (checked, role, status, created_at, last_sign_in_at, password_hash, id) {
        (
            Some(CheckedAccount { username, email, name }),
            Some(role),
            Some(status),
            Some(created_at),
            Some(last_sign_in_at),
            Some(password_hash),
            Some(id),
        ) => {
            let user = User {
                id: id.unwrap_or_else(|| UserId::new(now)),
                username,
                email,
                name,
                role,
                status,
                epoch: User::FIRST_EPOCH,
                created_at: created_at.unwrap_or(now),
                has_password: password_hash.is_some(),
                password_changed_at: None,
                last_sign_in_at,
            };
            let costly = password_hash.as_ref().is_some_and(|hash| hasher.is_costly(hash));
            let password_hash = password_hash.map(|hash| hash.to_string());
            Ok(Candidate { account: StoredUser { user, password_hash }, costly })
        }
        _ => Err(errors),
    }
}

fn parse(line: &[u8], ignored: &[String]) -> Result<Record, FieldErrors> {
    let malformed = |message: String| FieldError::new("", "malformed", message);
    if line.len() > MAX_LINE {
        return Err(malformed(format!("This line is longer than {MAX_LINE} bytes.")).into());
    }
    let mut value = json::read(line).map_err(|unreadable| match unreadable {
        Unreadable::NotJson => malformed("This is not JSON.".to_owned()),
        Unreadable::Repeated(name) => malformed(format!("The field “{name}” comes twice.")),
    })?;
    if let Some(fields) = value.as_object_mut() {
        for name in ignored {
            fields.remove(name);
        }
    }
    Ok(json::structured(value)?)
}

fn word<T: std::str::FromStr>(
    field: &'static str,
    text: Option<&str>,
    absent: T,
    advice: &str,
) -> Result<T, FieldError> {
    text.map_or(Ok(absent), |text| FieldError::parse(field, text, advice))
}

fn moment(field: &'static str, text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, FieldError> {
    let Some(text) = text else { return Ok(None) };
    let error = |message: &str| Err(FieldError::new(field, "invalid", message));
    match DateTime::parse_from_rfc3339(text).map(|moment| Timestamp::from(moment.to_utc())) {
        Ok(moment) if moment > now => error("This lies in the future."),
        Ok(moment) => Ok(Some(moment)),
        Err(_) => error("Write a moment with its zone, such as 2026-11-20T14:00:00Z."),
    }
}

fn parse_id(text: &str) -> Result<UserId, FieldError> {
    let id = text.parse().ok().filter(|id: &UserId| !id.0.is_nil());
    id.ok_or_else(|| FieldError::new("id", "invalid", "Write a UUID in lower case with hyphens, or leave it out."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clock;
    use crate::settings::Argon2Cost;

    fn read(line: &str) -> Result<(User, Option<String>), String> {
        let hasher = Hasher::new(Argon2Cost { memory_kib: 8, iterations: 1, lanes: 1 }, 1, 1).unwrap();
        let read = super::read(line.as_bytes(), &["phone".to_owned()], &hasher, Clock::default().now());
        read.map(|Candidate { account, .. }| (account.user, account.password_hash)).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(|error| format!("{} {}", error.field, error.code)).collect();
            errors.join(", ")
        })
    }

    #[test]
    fn a_name_and_an_address_make_an_account() {
        let (user, hash) = read(r#"{"email": "ann@example.org", "username": "ann"}"#).unwrap();
        assert_eq!((user.role, user.status, user.last_sign_in_at, hash), (Role::User, UserStatus::Active, None, None));
        assert_eq!(user.id.0.get_version_num(), 7);
    }

    #[test]
    fn a_line_says_all_of_an_account() {
        let line = r#"{"id":"3b2f0c4e-9a1d-4c55-8e0a-2f6b7f1f6a10","username":"Ann","email":"ann@example.org",
            "name":"Ann Lee","role":"manager","status":"suspended","created_at":"2020-02-29T12:00:00.5+01:00",
            "last_sign_in_at":"2021-01-01T00:00:00Z","phone":null,
            "password_hash":"bcrypt$$2y$04$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm"}"#;
        let (user, hash) = read(line).unwrap();
        assert_eq!(user.id.to_string(), "3b2f0c4e-9a1d-4c55-8e0a-2f6b7f1f6a10");
        assert_eq!(
            (user.role, user.status, user.name.as_deref()),
            (Role::Manager, UserStatus::Suspended, Some("Ann Lee"))
        );
        assert_eq!(rfc3339(user.created_at), "2020-02-29T11:00:00.500Z");
        assert_eq!(user.last_sign_in_at.map(rfc3339).as_deref(), Some("2021-01-01T00:00:00.000Z"));
        assert_eq!(hash.as_deref(), Some("$2b$04$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm"));
        // What is written of it is read as the same account.
        let written = serde_json::to_string(&Record::from(StoredUser { user, password_hash: hash.clone() })).unwrap();
        let (again, same) = read(&written).unwrap();
        assert_eq!((again.username.as_str(), again.version().len(), same), ("Ann", 16, hash));
        let fields: serde_json::Value = serde_json::from_str(&written).unwrap();
        let mut named = FIELDS;
        named.sort_unstable();
        assert!(fields.as_object().unwrap().keys().eq(named));
    }

    #[test]
    fn everything_that_is_wrong_with_a_line_is_named() {
        let good = r#""username":"ann","email":"ann@example.org""#;
        for (fields, named) in [
            (r#""username":"a","email":"ann""#, "username too_short, email invalid"),
            (r#""username":"ann""#, "email required"),
            (r#""username":7,"email":"ann@example.org""#, "username wrong_type"),
            (&format!(r#"{good},"is_staff":true"#), "is_staff unknown_field"),
            (&format!(r#"{good},"username":"ann""#), " malformed"),
            (&format!(r#"{good},"role":"root","status":"deleted""#), "role invalid, status invalid"),
            (
                &format!(r#"{good},"created_at":"2020-02-29 12:00","last_sign_in_at":"2999-01-01T00:00:00Z""#),
                "created_at invalid, last_sign_in_at invalid",
            ),
            (&format!(r#"{good},"id":"7""#), "id invalid"),
            (&format!(r#"{good},"id":"00000000-0000-0000-0000-000000000000""#), "id invalid"),
            (&format!(r#"{good},"password_hash":"hunter2""#), "password_hash unsupported"),
            (
                &format!(r#"{good},"password_hash":"$2b$20$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm""#),
                "password_hash too_costly",
            ),
            (&format!(r#"{good},"password_hash":{{"algorithm":"argon2"}}"#), "password_hash wrong_type"),
        ] {
            assert_eq!(read(&format!("{{{fields}}}")).unwrap_err(), named, "{fields}");
        }
        for line in ["", "x", "ann,ann@example.org", "{", &format!("{{{good}}} {{}}")] {
            assert_eq!(read(line).unwrap_err(), " malformed", "{line}");
        }
        assert_eq!(read("[]").unwrap_err(), " wrong_type");
        assert_eq!(read(&format!("{{{good},\"name\":\"{}\"}}", "x".repeat(MAX_LINE))).unwrap_err(), " malformed");
    }

    #[test]
    fn an_unusable_password_is_none() {
        for hash in ["null", "\"\"", "\"!Z33cm8nuAuVzKfftCGjYDE1Ep9EwGKuylTW0Cs2B\"", "\"!\""] {
            let line = format!(r#"{{"username":"ann","email":"ann@example.org","password_hash":{hash}}}"#);
            assert_eq!(read(&line).unwrap().1, None, "{hash}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_much_for_the_reader(line in "\\PC{0,100}", field in "[a-z_]{1,12}", value in "\\PC{0,40}") {
            let _ = read(&line);
            let _ = read(&serde_json::json!({ "username": "ann", "email": value, field: value }).to_string());
        }
    }
}
