//! Security events in words, for the person whom they concern.

use crate::domain::audit::{Actor, AuditEvent};
use crate::domain::{Event, Outcome, Timestamp, UserId};
use crate::web::time_tag::{TimeTag, time_tag};

/// A line of the activity table.
pub struct EventRow {
    /// As the audit log names it.
    pub code: &'static str,
    pub what: &'static str,
    /// Who did it or whose it was, where that is someone else.
    pub whom: Option<String>,
    pub when: TimeTag,
    pub failed: bool,
    pub device: Option<String>,
    pub address: Option<String>,
}

impl EventRow {
    /// The event as the account `reader` reads it.
    pub fn new(event: AuditEvent, reader: UserId, now: Timestamp) -> Self {
        Self {
            code: event.event.as_str(),
            what: what(event.event),
            whom: whom(&event, reader),
            when: time_tag(event.at, now),
            failed: event.outcome == Outcome::Failure,
            device: event.device,
            address: event.address,
        }
    }
}

fn what(event: Event) -> &'static str {
    match event {
        Event::SignInSuccess => "Signed in",
        Event::SignInFailed => "Sign-in refused",
        Event::SignInLocked => "Locked after too many failures",
        Event::SignOut => "Signed out",
        Event::UserRegistered => "Registered",
        Event::UserCreated => "Created the account",
        Event::UserUpdated => "Changed the profile",
        Event::UserRoleChanged => "Changed the role",
        Event::UserSuspended => "Suspended the account",
        Event::UserReinstated => "Reinstated the account",
        Event::UserUnlocked => "Unlocked the account",
        Event::UserDeleted => "Deleted the account",
        Event::UserImported => "Imported the account",
        Event::PasswordChanged => "Changed the password",
        Event::PasswordResetLink => "Made a password reset link",
        Event::SessionRevoked => "Ended a session",
        Event::SessionRevokedAll => "Ended all sessions",
        Event::KeyRotated => "Rotated the signing keys",
        Event::TokenReuseDetected => "Ended a session whose refresh token was used twice",
        Event::TokenRevoked => "Signed a program out",
        Event::SetupCompleted => "Set up this server",
    }
}

fn whom(event: &AuditEvent, reader: UserId) -> Option<String> {
    match &event.actor {
        Actor::User { id, .. } if *id == reader => {
            let (subject, username) = event.subject.as_ref()?;
            (*subject != reader).then(|| format!("of {username}"))
        }
        Actor::User { username, .. } => Some(format!("by {username}")),
        Actor::Cli => Some("by the command line of the server".to_owned()),
        Actor::System => Some("by the server".to_owned()),
        Actor::Anonymous => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Clock, EventId};

    #[test]
    fn an_event_names_the_other_one_and_never_the_reader() {
        let now = Clock::default().now();
        let (me, other) = (UserId::new(now), UserId::new(now));
        let user = |id, username: &str| Actor::User { id, username: username.to_owned() };
        let subject = |id, username: &str| Some((id, username.to_owned()));
        for (actor, subject, expected) in [
            (user(me, "ines"), subject(me, "ines"), None),
            (user(me, "ines"), subject(other, "samuel"), Some("of samuel")),
            (user(other, "samuel"), subject(me, "ines"), Some("by samuel")),
            (Actor::Cli, subject(me, "ines"), Some("by the command line of the server")),
            (Actor::Anonymous, subject(me, "ines"), None),
        ] {
            let event = AuditEvent {
                id: EventId::new(now),
                at: now,
                event: Event::UserSuspended,
                outcome: Outcome::Success,
                actor,
                subject,
                session_id: None,
                address: None,
                device: None,
                request_id: None,
                detail: None,
            };
            assert_eq!(whom(&event, me).as_deref(), expected);
        }
    }
}
