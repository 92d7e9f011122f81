//! A row of the audit log.

use serde::Serialize;
use utoipa::ToSchema;

use super::UserRef;
use crate::domain::audit::{ActorKind, AuditEvent};
use crate::domain::clock::rfc3339;
use crate::domain::{Actor, Event, EventId, Outcome, SessionId, UserId};

/// A row of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct EventShape {
    /// Of this event.
    id: EventId,
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    /// What happened.
    event: Event,
    /// How it went.
    outcome: Outcome,
    /// Who did it.
    actor: ActorShape,
    /// Whom it was done to, by the name of that time.
    #[schema(required)]
    subject: Option<UserRef>,
    /// The session that it was about, or in which it was done.
    #[schema(required)]
    session_id: Option<SessionId>,
    /// The client’s IP address.
    #[schema(required)]
    address: Option<String>,
    /// What the client runs on.
    #[schema(required)]
    device: Option<String>,
    /// By which the server’s log knows the request.
    #[schema(required)]
    request_id: Option<String>,
    /// What else there is to say, for people.
    #[schema(required)]
    detail: Option<String>,
}

/// Who did it.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorShape {
    /// What kind of actor it was.
    kind: ActorKind,
    /// The account, of a `user`.
    #[schema(required)]
    id: Option<UserId>,
    /// The name that the account had then, of a `user`.
    #[schema(required)]
    username: Option<String>,
}

impl From<AuditEvent> for EventShape {
    fn from(event: AuditEvent) -> Self {
        let kind = event.actor.kind();
        let (id, username) = match event.actor {
            Actor::User { id, username } => (Some(id), Some(username)),
            Actor::Cli | Actor::System | Actor::Anonymous => (None, None),
        };
        Self {
            id: event.id,
            at: rfc3339(event.at),
            event: event.event,
            outcome: event.outcome,
            actor: ActorShape { kind, id, username },
            subject: event.subject.map(|(id, username)| UserRef { id, username }),
            session_id: event.session_id,
            address: event.address,
            device: event.device,
            request_id: event.request_id,
            detail: event.detail,
        }
    }
}
