//! All the ways in which a service can refuse. Each edge has one exhaustive `match` from these to its answers.

use super::FieldErrors;

/// Why a service did not do what it was asked. Nothing was changed unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields that can't be accepted. 422.
    #[error("some fields are not right")]
    Invalid(FieldErrors),
    /// Fields whose value belongs to another account. 409 `taken`.
    #[error("already taken")]
    Taken(FieldErrors),
    /// Unknown name, wrong password or suspended account: one answer for all. 401 `invalid_credentials`.
    #[error("the username or password is not right")]
    WrongCredentials,
    /// The account's own password, asked again, was wrong; names the field. 401.
    #[error("the password is not right")]
    WrongPassword { field: &'static str },
    /// A refresh token that is malformed, forged, unknown, of an ended session, or was used before. 401
    /// `invalid_refresh_token`. In the last case its session has ended.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// No live session. 401, or a redirect to `/login`.
    #[error("not signed in")]
    NotSignedIn,
    /// An access token that is not one of ours, is out of its time, or whose session has ended. 401 `invalid_token`
    /// (RFC 6750).
    #[error("the access token is not valid")]
    InvalidToken,
    /// The last password entry is older than `reauthentication_window`. 401 `reauthentication_required`.
    #[error("the password has to be entered again")]
    ReauthenticationRequired,
    /// The role does not reach. 403.
    #[error("not for your role")]
    Forbidden,
    /// 404.
    #[error("not found")]
    NotFound,
    /// A one-time link that was used, replaced or has expired. 410.
    #[error("this link is used up or too old")]
    LinkGone,
    /// 403 `registration_closed`.
    #[error("registration is closed")]
    RegistrationClosed,
    /// Would leave no active administrator, or only such as have chosen no password yet. 409 `last_admin`.
    #[error("the last active administrator can't be demoted, suspended or deleted")]
    LastAdmin { others_without_password: bool },
    /// "End all" or a suspension came between the password check and the sign-in. 409 `raced`.
    #[error("the account was changed meanwhile; sign in again")]
    Raced,
    /// Too many wrong passwords: nothing is checked for so many seconds, not even the right one. 429
    /// `too_many_attempts`, alike for names that exist and names that don't.
    #[error("too many failed attempts")]
    Locked { retry_after: u64 },
    /// The account is no longer the one that was looked at when it was edited. 409 on a page, 412 over the API.
    #[error("the account was changed by someone else meanwhile")]
    Stale,
    /// The password hasher's queue is full, or too many guesses at one password are under way. 503 with `Retry-After`;
    /// nothing was compared, and nothing is counted.
    #[error("too many sign-ins at once")]
    Busy,
    /// As many exports as a node writes at once are under way. 503 with `Retry-After`.
    #[error("too many exports at once")]
    TooManyExports,
    /// A store didn't answer in time, or not as it should; what was asked may have been done. 503.
    #[error("{0} is unavailable")]
    Unavailable(Dependency, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// A bug. 500.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What this server needs to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    Database,
    Redis,
}

impl std::fmt::Display for Dependency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Database => "the database",
            Self::Redis => "Redis",
        })
    }
}

impl Error {
    pub fn database(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(Dependency::Database, error.into())
    }

    pub fn redis(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(Dependency::Redis, error.into())
    }

    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }
}
