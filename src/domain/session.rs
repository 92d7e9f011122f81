//! One sign-in, on one device.

use chrono::TimeDelta;

use super::text::text_enum;
use super::{Role, SessionId, Timestamp, UserId};

text_enum!(
    /// Who signed in: a person in a browser, or a program.
    SessionKind {
        Browser = "browser",
        Api = "api",
    }
);

text_enum!(
    /// Why a session ended.
    EndReason {
        SignedOut = "signed_out",
        EndedByOwner = "ended_by_owner",
        EndedByAdministrator = "ended_by_administrator",
        EndedAll = "ended_all",
        PasswordChanged = "password_changed",
        Suspended = "suspended",
        Deleted = "deleted",
        TokenReuse = "token_reuse",
        Expired = "expired",
        /// Another sign-in took its place in the same browser.
        Replaced = "replaced",
    }
);

/// How long a session lives: until it was idle for `idle`, and never past `absolute` after its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    pub idle: TimeDelta,
    pub absolute: TimeDelta,
}

/// A session as its owner and administrators see it. Never holds the secret, nor its hash.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub user_id: UserId,
    pub kind: SessionKind,
    /// "Keep me signed in": the cookie outlives the browser.
    pub remember: bool,
    /// For example "Firefox on Linux".
    pub device: String,
    pub address: String,
    pub created_at: Timestamp,
    /// Written at most once a minute; with Redis up to two minutes late.
    pub last_active_at: Timestamp,
    /// The last time that a password was entered for this session.
    pub password_entered_at: Timestamp,
    pub idle: TimeDelta,
    /// The absolute limit; [`Session::expires_at`] is the nearer of this and the idle limit.
    pub absolute_limit: Timestamp,
    pub ended: Option<Ended>,
}

/// When, why and by whom a session was ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub at: Timestamp,
    pub reason: EndReason,
    /// The username of who did it, `cli` or `system`.
    pub by: String,
}

impl Session {
    /// When it ends unless it is used again.
    pub fn expires_at(&self) -> Timestamp {
        expiry(self.absolute_limit, self.last_active_at, self.idle)
    }

    /// Which one it was, for the audit log: "browser session from 198.51.100.9, Firefox on Linux". What a program calls
    /// its device comes last and in quotes, so that it can't pass for anything else.
    pub fn description(&self) -> String {
        let Self { address, device, .. } = self;
        match self.kind {
            SessionKind::Browser => format!("browser session from {address}, {device}"),
            SessionKind::Api => format!("API session from {address}, “{device}”"),
        }
    }

    /// Whether neither an act nor a limit has ended it, where its last activity may be known `lag` too early. The owner's
    /// epoch and status are asked beside it.
    pub fn is_live(&self, now: Timestamp, lag: TimeDelta) -> bool {
        self.ended.is_none() && now < expiry(self.absolute_limit, self.last_active_at + lag, self.idle)
    }
}

/// The nearer of the two limits of a session.
pub(super) fn expiry(absolute_limit: Timestamp, last_active_at: Timestamp, idle: TimeDelta) -> Timestamp {
    absolute_limit.min(last_active_at + idle)
}

/// What a request learns from the store about the session that it came with: all that is needed to answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSession {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub kind: SessionKind,
    /// The owner's present role.
    pub role: Role,
    pub remember: bool,
    pub created_at: Timestamp,
    pub password_entered_at: Timestamp,
    pub absolute_limit: Timestamp,
}
