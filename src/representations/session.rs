//! A session.

use serde::Serialize;
use utoipa::ToSchema;

use super::UserRef;
use crate::domain::clock::rfc3339;
use crate::domain::{EndReason, Session, SessionId, SessionKind};

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
