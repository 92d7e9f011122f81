//! Why the process could not start or go on: one line for the operator, and the exit status.

use crate::domain::Error;
use crate::storage::database::OpenError;
use crate::storage::sessions::redis::OpenError as RedisOpenError;

/// One line that says what happened and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartupFailure {
    exit_code: u8,
    message: String,
}

/// sysexits.h: a dependency is unreachable.
const UNAVAILABLE: u8 = 69;
/// sysexits.h: the configuration is wrong.
const CONFIGURATION: u8 = 78;

impl StartupFailure {
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    pub(crate) fn general(message: impl Into<String>) -> Self {
        Self { exit_code: 1, message: message.into() }
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self { exit_code: CONFIGURATION, message: message.into() }
    }

    fn unavailable(message: impl Into<String>) -> Self {
        Self { exit_code: UNAVAILABLE, message: message.into() }
    }

    pub(super) fn database(target: &str, error: &OpenError) -> Self {
        let text = one_line(&error.to_string());
        if ["disk is full", "No space left"].iter().any(|words| text.contains(words)) {
            return Self::unavailable(format!("the disk of the database {target} is full ({text}); make room there"));
        }
        match error {
            OpenError::Unreachable(_) if text.contains("locked") => Self::unavailable(format!(
                "the database {target} is locked by another program; stop that program, or wait until it is done"
            )),
            OpenError::Migration(_) if text.contains("locked") => Self::unavailable(format!(
                "the database {target} is locked by another program; stop that program, or wait until it is done"
            )),
            OpenError::Unreachable(_) => Self::unavailable(format!(
                "can't open the database {target}: {text}; check database_url, and that the server runs{}",
                if text.contains("ertificate") { " (sslrootcert= names its certificate authority)" } else { "" }
            )),
            OpenError::Path | OpenError::Newer(_) => Self::configuration(text),
            OpenError::Unfit(_) => Self::configuration(format!("the database {target} can't be used: {text}")),
            OpenError::Migration(_) => Self::general(format!("{target}: {text}")),
        }
    }

    pub(super) fn redis(target: &str, error: &RedisOpenError) -> Self {
        match error {
            RedisOpenError::Refused(refusal) => {
                Self::unavailable(format!("can't use Redis at {target}: {}", one_line(&refusal.to_string())))
            }
            RedisOpenError::TooOld(_) | RedisOpenError::NoReplicationId => {
                Self::unavailable(format!("this Redis can't be used: {}", one_line(&error.to_string())))
            }
        }
    }

    /// The administrator of the settings can't be created: says which setting is wrong.
    pub(super) fn bootstrap(error: &Error) -> Self {
        match error {
            Error::Invalid(errors) | Error::Taken(errors) => {
                let fields = errors.iter().map(|error| format!("bootstrap_admin_{}: {}", error.field, error.message));
                Self::configuration(one_line(&fields.collect::<Vec<_>>().join("; ")))
            }
            other => Self::services(other),
        }
    }

    /// A service that failed while the process starts.
    pub(crate) fn services(error: &Error) -> Self {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let message = one_line(&format!("{error}{cause}"));
        match error {
            Error::Unavailable(..) => Self::unavailable(message),
            _ => Self::general(message),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
