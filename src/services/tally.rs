//! What the services count as they go, for [`super::metrics`].

use super::Result;
use crate::domain::text::text_enum;
use crate::domain::{Error, SessionKind};
use crate::telemetry::metrics::{Counters, Lookups};

text_enum!(
    /// What became of a sign-in with a password.
    SignInOutcome {
        Success = "success",
        WrongCredentials = "wrong_credentials",
        /// Nothing was compared: too many failures.
        Locked = "locked",
        /// Too much to do: the hashing queue was full, or too many guesses at the same name were under way for too long.
        Busy = "busy",
        /// The password was right, and all sessions of the account were ended meanwhile.
        Raced = "raced",
        Unavailable = "unavailable",
        Error = "error",
    }
);

text_enum!(
    /// What became of a refresh token.
    RefreshOutcome {
        /// Also a repeat within `refresh_reuse_grace`.
        Success = "success",
        /// Malformed, forged, unknown, or of a session that has ended.
        Refused = "refused",
        /// Used before: its session was ended, where the stores did that.
        Reused = "reused",
        Unavailable = "unavailable",
        Error = "error",
    }
);

impl SignInOutcome {
    pub(super) fn of<T>(outcome: &Result<T>) -> Self {
        match outcome {
            Ok(_) => Self::Success,
            Err(Error::WrongCredentials) => Self::WrongCredentials,
            Err(Error::Locked { .. }) => Self::Locked,
            Err(Error::Busy) => Self::Busy,
            Err(Error::Raced) => Self::Raced,
            Err(Error::Unavailable(..)) => Self::Unavailable,
            Err(_) => Self::Error,
        }
    }
}

impl RefreshOutcome {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidRefreshToken => Self::Refused,
            Error::Unavailable(..) => Self::Unavailable,
            _ => Self::Error,
        }
    }
}

/// Clones count together.
#[derive(Clone)]
pub struct Tally {
    pub sign_ins: Counters<(SessionKind, SignInOutcome)>,
    pub refreshes: Counters<RefreshOutcome>,
    /// Access tokens whose signature need not be proved again.
    pub tokens: Lookups,
}

impl Default for Tally {
    fn default() -> Self {
        let of_kind = |kind: &SessionKind| {
            let kind = *kind;
            SignInOutcome::ALL.iter().map(move |outcome| (kind, *outcome))
        };
        Self {
            sign_ins: Counters::of(SessionKind::ALL.iter().flat_map(of_kind)),
            refreshes: Counters::of(RefreshOutcome::ALL.iter().copied()),
            tokens: Lookups::default(),
        }
    }
}
