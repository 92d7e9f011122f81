//! An account, and whose something is.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::clock::rfc3339;
use crate::domain::{Role, Timestamp, User, UserId, UserStatus};

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

/// Whose it is.
#[derive(Serialize, ToSchema)]
pub struct UserRef {
    /// Of the account.
    pub(super) id: UserId,
    /// Of the account; of a deleted one, the last that it had.
    pub(super) username: String,
}
