//! Security events.

pub use super::actor_kind::ActorKind;
use super::device_cookie::DeviceCookie;
use super::form_seed::FormSeed;
use super::text::text_enum;
use super::{EventId, SessionId, Timestamp, User, UserId};

text_enum!(
    /// What happened. The names are part of the contract.
    Event {
        SignInSuccess = "sign_in.success",
        SignInFailed = "sign_in.failed",
        SignInLocked = "sign_in.locked",
        SignOut = "sign_out",
        UserRegistered = "user.registered",
        UserCreated = "user.created",
        UserUpdated = "user.updated",
        UserRoleChanged = "user.role_changed",
        UserSuspended = "user.suspended",
        UserReinstated = "user.reinstated",
        UserUnlocked = "user.unlocked",
        UserDeleted = "user.deleted",
        UserImported = "user.imported",
        PasswordChanged = "password.changed",
        PasswordResetLink = "password.reset_link",
        SessionRevoked = "session.revoked",
        SessionRevokedAll = "session.revoked_all",
        KeyRotated = "key.rotated",
        /// A refresh token came again after its grace: somebody has a copy. The session has ended.
        TokenReuseDetected = "token.reuse_detected",
        /// A program gave its tokens back (RFC 7009). The session has ended.
        TokenRevoked = "token.revoked",
        SetupCompleted = "setup.completed",
    }
);

impl Event {
    /// Whether it tells that a session began.
    pub fn opens_session(self) -> bool {
        matches!(self, Self::SignInSuccess | Self::UserRegistered | Self::SetupCompleted)
    }
}

text_enum!(
    /// How it went.
    Outcome {
        Success = "success",
        Failure = "failure",
    }
);

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    User {
        id: UserId,
        username: String,
    },
    /// The command line on the server.
    Cli,
    /// The server itself.
    System,
    /// Nobody who is signed in.
    Anonymous,
}

impl Actor {
    pub fn user(user: &User) -> Self {
        Self::User { id: user.id, username: user.username.as_str().to_owned() }
    }

    pub fn kind(&self) -> ActorKind {
        match self {
            Self::User { .. } => ActorKind::User,
            Self::Cli => ActorKind::Cli,
            Self::System => ActorKind::System,
            Self::Anonymous => ActorKind::Anonymous,
        }
    }

    /// The word for it in a session's "ended by": the username, or the kind.
    pub fn label(&self) -> &str {
        match self {
            Self::User { username, .. } => username,
            other => other.kind().as_str(),
        }
    }
}

/// Where a request came from; all empty on the command line. All but cookie and form is kept with sessions and events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// As [`crate::http::client_address`] determined it.
    pub address: Option<std::net::IpAddr>,
    /// For example "Firefox on Linux".
    pub device: Option<String>,
    pub request_id: Option<uuid::Uuid>,
    /// What the browser says of earlier sign-ins; not checked yet.
    pub device_cookie: Option<DeviceCookie>,
    /// The form that it sent, where that is one to be known again.
    pub form: Option<FormSeed>,
}

/// A row of the audit log as it is read back.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    pub id: EventId,
    pub at: Timestamp,
    pub event: Event,
    pub outcome: Outcome,
    pub actor: Actor,
    /// Whom it was done to: id, and the username at the time.
    pub subject: Option<(UserId, String)>,
    pub session_id: Option<SessionId>,
    pub address: Option<String>,
    pub device: Option<String>,
    pub request_id: Option<String>,
    pub detail: Option<String>,
}
