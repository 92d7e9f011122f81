//! Why a command failed: one line that says what to do, and the exit status.

use crate::domain::{Error, FieldErrors};
use crate::settings::Problems;
use crate::startup;
use crate::telemetry::escaped;

/// Also clap's own.
pub const USAGE: u8 = 2;
const FAILED: u8 = 1;
/// `EX_UNAVAILABLE` of sysexits.h.
const UNAVAILABLE: u8 = 69;
/// `EX_CONFIG` of sysexits.h.
const CONFIGURATION: u8 = 78;

/// What the command line tells instead of doing it.
#[derive(Debug)]
pub enum Failure {
    /// It can't be done that way.
    Usage(String),
    Failed(String),
    /// A store can't be reached.
    Unavailable(String),
    Settings(Problems),
    Startup(startup::StartupFailure),
    /// Its answer was read by nobody: whoever closed the pipe knows.
    Unread,
}

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Failed(_) | Self::Unread => FAILED,
            Self::Unavailable(_) => UNAVAILABLE,
            Self::Settings(_) => CONFIGURATION,
            Self::Startup(failure) => failure.exit_code(),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) | Self::Unavailable(message) => f.write_str(&escaped(message)),
            Self::Settings(problems) => problems.fmt(f),
            Self::Startup(failure) => failure.fmt(f),
            Self::Unread => f.write_str("nobody reads what this command answers"),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Settings(problems)
    }
}

impl From<startup::StartupFailure> for Failure {
    fn from(failure: startup::StartupFailure) -> Self {
        Self::Startup(failure)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Invalid(errors) | Error::Taken(errors) => Self::Failed(complaints(errors)),
            Error::NotFound => Self::Failed("there is nothing of that name (any more)".to_owned()),
            Error::LastAdmin { others_without_password: false } => {
                Self::Failed(format!("{error}: make another administrator first"))
            }
            Error::LastAdmin { others_without_password: true } => Self::Failed(format!(
                "{error}, for no other has chosen a password yet: set one with set-password first"
            )),
            Error::Locked { .. } | Error::Busy | Error::TooManyExports | Error::Raced => {
                Self::Failed(format!("{error}: try again"))
            }
            Error::Unavailable(_, source) => Self::Unavailable(format!("{error} ({source}): try again, or start it")),
            Error::Internal(source) => Self::Failed(format!("{error}: {source}")),
            Error::WrongCredentials
            | Error::WrongPassword { .. }
            | Error::InvalidRefreshToken
            | Error::NotSignedIn
            | Error::InvalidToken
            | Error::ReauthenticationRequired
            | Error::Forbidden
            | Error::LinkGone
            | Error::RegistrationClosed
            | Error::Stale => Self::Failed(error.to_string()),
        }
    }
}

/// What is wrong, each behind the name of its field.
pub fn complaints(errors: &FieldErrors) -> String {
    let complaints: Vec<_> = errors
        .iter()
        .map(|error| match &*error.field {
            "" => error.message.clone(),
            field => format!("{field}: {}", error.message),
        })
        .collect();
    complaints.join(" ")
}
