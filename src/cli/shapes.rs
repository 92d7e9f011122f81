//! Accounts and sessions as JSON.

use chrono::SecondsFormat;
use serde::Serialize;

use crate::domain::{EndReason, Role, Session, SessionId, SessionKind, Timestamp, User, UserId, UserStatus};

#[derive(Serialize)]
pub struct UserShape<'a> {
    id: UserId,
    username: &'a str,
    email: &'a str,
    name: Option<&'a str>,
    role: Role,
    status: UserStatus,
    created_at: String,
    last_sign_in_at: Option<String>,
    /// Also where only one of the account's known browsers is locked.
    locked_until: Option<String>,
}

impl<'a> UserShape<'a> {
    pub fn new(user: &'a User, locked_until: Option<Timestamp>) -> Self {
        Self {
            id: user.id,
            username: user.username.as_str(),
            email: user.email.as_str(),
            name: user.name.as_deref(),
            role: user.role,
            status: user.status,
            created_at: time(user.created_at),
            last_sign_in_at: user.last_sign_in_at.map(time),
            locked_until: locked_until.map(time),
        }
    }
}

#[derive(Serialize)]
pub struct SessionShape<'a> {
    id: SessionId,
    user: Owner<'a>,
    kind: SessionKind,
    device: &'a str,
    address: &'a str,
    created_at: String,
    last_active_at: String,
    expires_at: String,
    /// Whether it is the asker's own; the command line has none.
    current: bool,
    ended_at: Option<String>,
    ended_by: Option<&'a str>,
    end_reason: Option<EndReason>,
}

#[derive(Serialize)]
struct Owner<'a> {
    id: UserId,
    username: &'a str,
}

impl<'a> SessionShape<'a> {
    pub fn new(session: &'a Session, username: &'a str) -> Self {
        Self {
            id: session.id,
            user: Owner { id: session.user_id, username },
            kind: session.kind,
            device: &session.device,
            address: &session.address,
            created_at: time(session.created_at),
            last_active_at: time(session.last_active_at),
            expires_at: time(session.expires_at()),
            current: false,
            ended_at: session.ended.as_ref().map(|ended| time(ended.at)),
            ended_by: session.ended.as_ref().map(|ended| ended.by.as_str()),
            end_reason: session.ended.as_ref().map(|ended| ended.reason),
        }
    }
}

/// RFC 3339 in UTC, to the millisecond.
fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
