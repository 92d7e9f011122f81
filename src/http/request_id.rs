//! An id for each request: on each log line, in the audit log, and on the answer.

use actix_web::{HttpMessage as _, HttpRequest};
use uuid::Uuid;

/// What is kept with the request.
struct RequestId(Uuid);

/// Makes the id of this request: UUIDv7; what a client sends is never taken.
pub fn make(request: &HttpRequest) -> Uuid {
    let id = Uuid::now_v7();
    request.extensions_mut().insert(RequestId(id));
    id
}

/// The id of this request; `None` only outside [`super::request_log::log`].
pub fn of(request: &HttpRequest) -> Option<Uuid> {
    request.extensions().get::<RequestId>().map(|id| id.0)
}
