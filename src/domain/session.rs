//! One sign-in, on one device.

use std::ops::Deref;

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

/// What is known of a session wherever it is read. Never the secret, nor its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCore {
    pub id: SessionId,
    pub user_id: UserId,
    pub kind: SessionKind,
    /// "Keep me signed in": the cookie outlives the browser.
    pub remember: bool,
    pub created_at: Timestamp,
    /// The last time that a password was entered for this session.
    pub password_entered_at: Timestamp,
    /// [`Session::expires_at`] is the nearer of this and the idle limit.
    pub absolute_limit: Timestamp,
}

/// For how long the session of a browser may stay [unclaimed](Session::is_unclaimed): the answer with its cookie was lost, and
/// the browser did not come again.
pub const UNCLAIMED_TIMEOUT: TimeDelta = TimeDelta::minutes(10);

/// A session as its owner and administrators see it. Reads as its [`SessionCore`], too.
#[derive(Clone, Debug)]
pub struct Session {
    pub core: SessionCore,
    /// For example "Firefox on Linux".
    pub device: String,
    pub address: String,
    /// Written at most once a minute; with Redis up to two minutes late.
    pub last_active_at: Timestamp,
    pub idle: TimeDelta,
    pub ended: Option<Ended>,
}

/// What a request learns from the store about the session that it came with: all that is needed to answer it. Reads as
/// its [`SessionCore`], too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSession {
    pub core: SessionCore,
    /// The owner's present role.
    pub role: Role,
}

impl Deref for Session {
    type Target = SessionCore;
    fn deref(&self) -> &SessionCore {
        &self.core
    }
}

impl Deref for LiveSession {
    type Target = SessionCore;
    fn deref(&self) -> &SessionCore {
        &self.core
    }
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

    /// Whether nobody has shown the cookie yet that the last entry of the password gave. A program may keep its tokens for
    /// later.
    pub fn is_unclaimed(&self) -> bool {
        self.kind == SessionKind::Browser && self.last_active_at <= self.password_entered_at
    }

    /// The activity that claims it at `now`, also where the clock of the node that took the password is ahead.
    pub fn claim_at(&self, now: Timestamp) -> Timestamp {
        now.max(self.password_entered_at + TimeDelta::milliseconds(1))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clock;

    #[test]
    fn a_browsers_session_is_claimed_by_its_first_use_after_the_password_whatever_the_clocks_say() {
        let now = Clock::default().now();
        let later = now + TimeDelta::seconds(5);
        let session = |kind, last_active_at| Session {
            core: SessionCore {
                id: SessionId::new(now),
                user_id: UserId::new(now),
                kind,
                remember: false,
                created_at: now,
                password_entered_at: now,
                absolute_limit: later,
            },
            device: String::new(),
            address: String::new(),
            last_active_at,
            idle: TimeDelta::hours(2),
            ended: None,
        };
        let opened = session(SessionKind::Browser, now);
        assert!(opened.is_unclaimed());
        assert!(session(SessionKind::Browser, now - TimeDelta::days(1)).is_unclaimed());
        assert!(!session(SessionKind::Api, now).is_unclaimed());
        for used_at in [later, now, now - TimeDelta::seconds(30)] {
            assert!(!session(SessionKind::Browser, opened.claim_at(used_at)).is_unclaimed());
        }
        assert_eq!(opened.claim_at(later), later);
    }
}
