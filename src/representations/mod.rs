//! Accounts, sessions, events and keys as JSON: what the API answers and the command line prints. Absent values are
//! `null`, ids are strings, times RFC 3339 in UTC.

pub mod audit_export;

use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::audit::{ActorKind, AuditEvent};
use crate::domain::clock::rfc3339;
use crate::domain::session_list::SessionState;
use crate::domain::signing_key::{KeyState, SigningAlgorithm, SigningKeyInfo};
use crate::domain::{
    Actor, EndReason, Event, EventId, Outcome, Role, Session, SessionId, SessionKind, Timestamp, User, UserId,
    UserStatus, id,
};
use crate::services::administration::stats::{HourCounts, Stats};
use crate::services::administration::users::UserSort;

/// An account.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserShape {
    /// By which everything else knows it; never another’s.
    id: UserId,
    /// The name that its owner signs in with.
    username: String,
    /// Its owner signs in with it too.
    email: String,
    /// What the person is called.
    #[schema(required)]
    name: Option<String>,
    /// What it may do.
    role: Role,
    /// Whether it may be used.
    status: UserStatus,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// When its owner last signed in.
    #[schema(format = DateTime, required)]
    last_sign_in_at: Option<String>,
    /// Until when nobody can sign in with this name, or in one of its known browsers; null where it isn't locked.
    #[schema(format = DateTime, required)]
    locked_until: Option<String>,
}

impl UserShape {
    /// `locked_until` as [`crate::services::authentication::lockout::locked_until`] says it.
    pub fn new(user: &User, locked_until: Option<Timestamp>) -> Self {
        Self {
            id: user.id,
            username: user.username.as_str().to_owned(),
            email: user.email.as_str().to_owned(),
            name: user.name.clone(),
            role: user.role,
            status: user.status,
            created_at: rfc3339(user.created_at),
            last_sign_in_at: user.last_sign_in_at.map(rfc3339),
            locked_until: locked_until.map(rfc3339),
        }
    }
}

/// One sign-in, on one device.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionShape {
    /// By which it is ended; `sid` in tokens.
    id: SessionId,
    /// Whose it is.
    user: UserRef,
    /// Of a person in a browser, or of a program.
    kind: SessionKind,
    /// What it runs on: what the browser says of itself, or what the program calls its device.
    device: String,
    /// The client’s IP address at the sign-in.
    address: String,
    /// When it began.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last used; written at most once a minute.
    #[schema(format = DateTime)]
    last_active_at: String,
    /// When it ends unless it is used again.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Whether it is the asker's own; the command line has none.
    current: bool,
    /// When it ended; null while it lives.
    #[schema(format = DateTime, required)]
    ended_at: Option<String>,
    /// Who ended it: a username, `cli` or `system`.
    #[schema(required)]
    ended_by: Option<String>,
    /// Why it ended.
    #[schema(required)]
    end_reason: Option<EndReason>,
}

/// Whose it is.
#[derive(Serialize, ToSchema)]
pub struct UserRef {
    /// Of the account.
    id: UserId,
    /// Of the account; of a deleted one, the last that it had.
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
            created_at: rfc3339(session.created_at),
            last_active_at: rfc3339(session.last_active_at),
            expires_at: rfc3339(session.expires_at()),
            current: current == Some(session.id),
            ended_at: session.ended.as_ref().map(|ended| rfc3339(ended.at)),
            ended_by: session.ended.as_ref().map(|ended| ended.by.clone()),
            end_reason: session.ended.as_ref().map(|ended| ended.reason),
        }
    }
}

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

/// A key that signs access tokens, without its secret part.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyShape {
    /// By which the header of a token names it.
    kid: String,
    /// What it signs with.
    algorithm: SigningAlgorithm,
    /// What it is for now.
    state: KeyState,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// From when on it signed.
    #[schema(format = DateTime, required)]
    active_from: Option<String>,
    /// When another took its place.
    #[schema(format = DateTime, required)]
    retired_at: Option<String>,
}

impl From<&SigningKeyInfo> for KeyShape {
    fn from(key: &SigningKeyInfo) -> Self {
        Self {
            kid: key.kid.clone(),
            algorithm: key.algorithm,
            state: key.state,
            created_at: rfc3339(key.created_at),
            active_from: key.active_from.map(rfc3339),
            retired_at: key.retired_at.map(rfc3339),
        }
    }
}

/// The figures of the dashboard.
#[derive(Serialize, ToSchema)]
#[schema(as = Stats)]
pub struct StatsShape {
    /// How many accounts there are.
    users: UserFigures,
    /// How many sessions have not ended.
    sessions: SessionFigures,
    /// Accounts that are locked now.
    locked: i64,
    /// Refresh tokens that were used twice, in 24 hours.
    reuse_alarms_24h: i64,
    /// The last 24 hours, the present one included, the oldest first.
    by_hour: Vec<Count>,
    /// The last 30 days in UTC, likewise.
    by_day: Vec<Count>,
}

/// How many accounts there are.
#[derive(Serialize, ToSchema)]
pub struct UserFigures {
    /// All of them; where they are many, about so many.
    total: i64,
    /// Created within seven days.
    new_7d: i64,
}

/// How many sessions have not ended; where they are many, as of a moment ago.
#[derive(Serialize, ToSchema)]
pub struct SessionFigures {
    /// Of people in browsers.
    browser: i64,
    /// Of programs.
    api: i64,
}

/// What happened in an hour, or on a day.
#[derive(Serialize, ToSchema)]
pub struct Count {
    /// When it began.
    #[schema(format = DateTime)]
    at: String,
    /// Sign-ins that succeeded.
    sign_ins: i64,
    /// Sign-ins that were refused.
    failures: i64,
}

impl From<&Stats> for StatsShape {
    fn from(stats: &Stats) -> Self {
        let counts = |spans: &[(Timestamp, HourCounts)]| {
            let count = |(at, counts): &(Timestamp, HourCounts)| Count {
                at: rfc3339(*at),
                sign_ins: counts.sign_ins,
                failures: counts.failures,
            };
            spans.iter().map(count).collect()
        };
        Self {
            users: UserFigures { total: stats.users, new_7d: stats.new_users },
            sessions: SessionFigures { browser: stats.sessions.browser.value, api: stats.sessions.api.value },
            locked: stats.locked,
            reuse_alarms_24h: stats.last_day().reuse_alarms,
            by_hour: counts(&stats.by_hour),
            by_day: counts(&stats.by_day),
        }
    }
}

/// Domain types are documented here, so that the domain knows nothing of documents.
macro_rules! word_schema {
    ($($type:ident: $description:literal),+ $(,)?) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let words = Self::ALL.iter().map(|word| word.as_str());
                let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
                schema.description(Some($description)).into()
            }
        }
        impl ToSchema for $type {}
    )+};
}
word_schema!(
    Role: "What an account may do: a manager all that a user can, an administrator all that a manager can.",
    UserStatus: "Whether an account may be used.",
    UserSort: "What a list of accounts is sorted by; with `-` in front it is backwards.",
    SessionKind: "Who signed in: a person in a browser, or a program.",
    SessionState: "Which sessions a list is of.",
    EndReason: "Why a session ended; `replaced` by another sign-in in the same browser.",
    Event: "What happened.",
    Outcome: "How it went.",
    ActorKind: "Who did it: an account, the command line on the server, the server itself, or nobody who is signed in.",
    SigningAlgorithm: "What a key signs with (RFC 7518, RFC 8037).",
    KeyState: "`next` is published and will sign, `active` signs, `retired` has signed tokens that may still be good.",
);

macro_rules! id_schema {
    ($($type:ident: $description:literal),+ $(,)?) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let uuid = SchemaFormat::Custom("uuid".to_owned());
                let schema = ObjectBuilder::new().schema_type(Type::String).format(Some(uuid));
                schema.pattern(Some(id::PATTERN)).description(Some($description)).into()
            }
        }
        impl ToSchema for $type {}
    )+};
}
id_schema!(
    UserId: "The id of an account.",
    SessionId: "The id of a session.",
    EventId: "The id of a row of the audit log.",
);
