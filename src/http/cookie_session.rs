//! The session whose cookie a request came with, as it is known to all that handles the request.

use actix_web::{HttpMessage as _, HttpRequest};

use crate::domain::keys::SecretHash;
use crate::domain::session::LiveSession;
use crate::domain::{SessionId, UserId};

/// The session that a request came with, and the token of its forms.
#[derive(Clone)]
pub(super) struct CookieSession {
    pub live: LiveSession,
    /// Of the cookie that came.
    pub secret: SecretHash,
    pub csrf_token: String,
    /// The request came with a former cookie of it, and is one that was answered before.
    pub repeats: bool,
}

/// What a cookie of ours says whose secret opens nothing.
pub(super) struct Former {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub secret: SecretHash,
    pub csrf_token: String,
}

/// What the store said of the session that this request came with; `None` for a guest.
pub(super) fn cookie_session(request: &HttpRequest) -> Option<CookieSession> {
    request.extensions().get().cloned()
}
