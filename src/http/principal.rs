//! Roles at the door: one definition for pages and API, as the middleware of the route table and for the extractor
//! [`RequireRole`](super::require_role::RequireRole).

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest};

use super::problem::Problem;
use crate::domain::Role;

/// Who is calling, as an edge knows it: [`super::current_user::CurrentUser`] on pages, [`super::bearer::ApiUser`] in the
/// API. Its extractor refuses a guest.
pub trait Principal: FromRequest<Error = Error> + 'static {
    /// The present role.
    fn role(&self) -> Role;

    /// What someone of a lower role is told. 403.
    fn forbidden() -> Problem;
}

/// Refuses a lower role than is required.
pub(super) fn permit<P: Principal>(principal: P, required: Role) -> Result<P, Error> {
    if principal.role().reaches(required) { Ok(principal) } else { Err(P::forbidden().into()) }
}

/// Closed by default: a guest, or someone of a lower role, gets no further, whatever the handler asks for.
pub async fn require<P: Principal>(
    required: Role,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (inner, payload) = request.parts_mut();
    let principal = P::from_request(inner, payload).await;
    match principal.and_then(|principal| permit(principal, required)) {
        Ok(_) => Ok(next.call(request).await?.map_into_boxed_body()),
        // Not as an `Err`, which would pass by the middleware outside.
        Err(refusal) => Ok(request.error_response(refusal)),
    }
}
