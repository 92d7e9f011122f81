//! Right inside the session middleware: a store that did not answer is 503, never "signed out", never "let in".

use actix_session::SessionExt as _;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _};

use super::problem::Problem;
use super::session_store;

/// Wrap with `from_fn`. The session's state is left as it was loaded, so the browser keeps its cookie.
pub async fn authenticate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if session_store::has_failed(&request.get_session()) {
        return Ok(request.into_response(Problem::unavailable().error_response()).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}
