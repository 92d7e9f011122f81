//! Accounts, sessions, events and keys as JSON: what the API answers and the command line prints. Absent values are
//! `null`, ids are strings, times RFC 3339 in UTC.

use chrono::SecondsFormat;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::audit::{ActorKind, AuditEvent};
use crate::domain::signing_key::{KeyState, SigningAlgorithm, SigningKeyInfo};
use crate::domain::{
    Actor, EndReason, Event, EventId, Outcome, Role, Session, SessionId, SessionKind, Timestamp, User, UserId,
    UserStatus,
};

/// An account.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserShape {
    id: UserId,
    username: String,
    email: String,
    #[schema(required)]
    name: Option<String>,
    role: Role,
    status: UserStatus,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime, required)]
    last_sign_in_at: Option<String>,
    /// Until when nobody can sign in with this name, or in one of its known browsers; null where it isn't locked.
    #[schema(format = DateTime, required)]
    locked_until: Option<String>,
}

impl UserShape {
    /// `locked_until` as [`crate::services::Services::locked_until`] says it.
    pub fn new(user: &User, locked_until: Option<Timestamp>) -> Self {
        Self {
            id: user.id,
            username: user.username.as_str().to_owned(),
            email: user.email.as_str().to_owned(),
            name: user.name.clone(),
            role: user.role,
            status: user.status,
            created_at: time(user.created_at),
            last_sign_in_at: user.last_sign_in_at.map(time),
            locked_until: locked_until.map(time),
        }
    }
}

/// One sign-in, on one device.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionShape {
    id: SessionId,
    user: UserRef,
    kind: SessionKind,
    device: String,
    address: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_active_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// Whether it is the asker's own; the command line has none.
    current: bool,
    #[schema(format = DateTime, required)]
    ended_at: Option<String>,
    #[schema(required)]
    ended_by: Option<String>,
    #[schema(required)]
    end_reason: Option<EndReason>,
}

/// Whose it is.
#[derive(Serialize, ToSchema)]
pub struct UserRef {
    id: UserId,
    username: String,
}

impl SessionShape {
    pub fn new(session: &Session, username: &str, current: Option<SessionId>) -> Self {
        Self {
            id: session.id,
            user: UserRef { id: session.user_id, username: username.to_owned() },
            kind: session.kind,
            device: session.device.clone(),
            address: session.address.clone(),
            created_at: time(session.created_at),
            last_active_at: time(session.last_active_at),
            expires_at: time(session.expires_at()),
            current: current == Some(session.id),
            ended_at: session.ended.as_ref().map(|ended| time(ended.at)),
            ended_by: session.ended.as_ref().map(|ended| ended.by.clone()),
            end_reason: session.ended.as_ref().map(|ended| ended.reason),
        }
    }
}

/// A row of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct EventShape {
    id: EventId,
    #[schema(format = DateTime)]
    at: String,
    event: Event,
    outcome: Outcome,
    actor: ActorShape,
    /// Whom it was done to, by the name of that time.
    #[schema(required)]
    subject: Option<UserRef>,
    #[schema(required)]
    session_id: Option<SessionId>,
    #[schema(required)]
    address: Option<String>,
    #[schema(required)]
    device: Option<String>,
    #[schema(required)]
    request_id: Option<String>,
    #[schema(required)]
    detail: Option<String>,
}

/// Who did it.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorShape {
    kind: ActorKind,
    #[schema(required)]
    id: Option<UserId>,
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
            at: time(event.at),
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

/// A key that signs access tokens, without its secret part.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyShape {
    kid: String,
    algorithm: SigningAlgorithm,
    state: KeyState,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime, required)]
    active_from: Option<String>,
    #[schema(format = DateTime, required)]
    retired_at: Option<String>,
}

impl From<&SigningKeyInfo> for KeyShape {
    fn from(key: &SigningKeyInfo) -> Self {
        Self {
            kid: key.kid.clone(),
            algorithm: key.algorithm,
            state: key.state,
            created_at: time(key.created_at),
            active_from: key.active_from.map(time),
            retired_at: key.retired_at.map(time),
        }
    }
}

/// RFC 3339 in UTC, to the millisecond.
pub fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Domain types are documented here, so that the domain knows nothing of documents.
macro_rules! word_schema {
    ($($type:ident),+) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let words = Self::ALL.iter().map(|word| word.as_str());
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
            }
        }
        impl ToSchema for $type {}
    )+};
}
word_schema!(Role, UserStatus, SessionKind, EndReason, Event, Outcome, ActorKind, SigningAlgorithm, KeyState);

macro_rules! id_schema {
    ($($type:ident),+) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let uuid = SchemaFormat::Custom("uuid".to_owned());
                ObjectBuilder::new().schema_type(Type::String).format(Some(uuid)).into()
            }
        }
        impl ToSchema for $type {}
    )+};
}
id_schema!(UserId, SessionId, EventId);
