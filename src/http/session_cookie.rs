//! The session cookie, from a handler's side: issued or removed, by nothing else.

use actix_web::HttpRequest;

use crate::domain::keys::SessionHandle;

/// Puts the handle into the session cookie of the answer; with `remember` it gets a Max-Age.
pub fn issue(request: &HttpRequest, handle: &SessionHandle, remember: bool) { todo!() }
/// Removes the session cookie from the browser. The service has ended the session.
pub fn remove(request: &HttpRequest) { todo!() }
