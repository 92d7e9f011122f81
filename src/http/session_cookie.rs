//! The session cookie, from a handler's side: issued or removed, by nothing else.
//!
//! A handler only says what shall happen: the key goes through actix-session, which signs it, and
//! [`super::cookie_guard`] lets it out because of the mark that is left here.

use actix_identity::{Identity, IdentityExt as _};
use actix_session::SessionExt as _;
use actix_web::{HttpMessage as _, HttpRequest};

use super::session_store::NEW_KEY;
use crate::domain::keys::SessionHandle;

/// What becomes of the session cookie with this answer. Without it, the browser's cookie stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CookieChange {
    Issued { remember: bool },
    Removed,
}

/// Puts the handle into the session cookie of the answer; with `remember` it gets a Max-Age.
#[expect(clippy::disallowed_methods, reason = "the one writer of the session's state and of the identity")]
pub fn issue(request: &HttpRequest, handle: &SessionHandle, remember: bool) {
    let inserted = request.get_session().insert(NEW_KEY, handle.reveal()).is_ok();
    // Into a variable, so that the borrow of the extensions ends before the mark is left in them.
    let identified = Identity::login(&request.extensions(), handle.user_id.to_string()).is_ok();
    if inserted && identified {
        request.extensions_mut().insert(CookieChange::Issued { remember });
    } else {
        tracing::error!("the session cookie could not be issued");
    }
}

/// Removes the session cookie from the browser. The service has ended the session.
#[expect(clippy::disallowed_methods, reason = "the one place that forgets an identity")]
pub fn remove(request: &HttpRequest) {
    if let Ok(identity) = request.get_identity() {
        identity.logout();
    }
    request.extensions_mut().insert(CookieChange::Removed);
}
