//! Who may call which route, as the route table says it, and the door that lets nobody else in: one definition for
//! pages and API.

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use super::principal::{Principal, permit};
pub use super::step_up::StepUp;
use crate::domain::Role;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Also nobody.
    Everyone,
    /// Who is signed in with at least this role; a page sends a guest to `/login`.
    SignedIn(Role, StepUp),
    /// A program with an access token of at least this role.
    Bearer(Role, StepUp),
}

/// A line of the table, for tests that ask every route as everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub access: Access,
}

/// Closed by default: a guest, someone of a lower role, or whose password entry is too old, gets no further, whatever
/// the handler asks for.
pub async fn require<P: Principal>(
    role: Role,
    step_up: StepUp,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (inner, payload) = request.parts_mut();
    let principal = P::from_request(inner, payload).await.and_then(|principal| permit(principal, role));
    match principal.and_then(|principal| step_up.check(request.request(), &principal)) {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        // Not as an `Err`, which would pass by the middleware outside.
        Err(refusal) => Ok(request.error_response(refusal)),
    }
}
