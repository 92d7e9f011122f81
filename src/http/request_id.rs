//! An id for each request: in its span, and so on each log line, in the audit log, and on the answer.

use actix_web::{HttpMessage as _, HttpRequest};
use tracing_actix_web::RequestId;
use uuid::Uuid;

/// The id of this request; `None` only outside [`super::request_span::logger`].
pub fn of(request: &HttpRequest) -> Option<Uuid> {
    request.extensions().get::<RequestId>().map(|id| Uuid::from(*id))
}
