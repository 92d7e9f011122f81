//! Roles at the door: one definition for pages and API, as an extractor and as the middleware of the route table.

use std::marker::PhantomData;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::current_user::CurrentUser;
use super::problem::Problem;
use crate::domain::Role;

/// Who is calling, as an edge knows it: [`CurrentUser`] on pages, [`super::bearer::ApiUser`] in the API. Its extractor
/// refuses a guest.
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

/// Someone whose role reaches that of `R`.
pub struct RequireRole<R, P = CurrentUser> {
    pub user: P,
    role: PhantomData<R>,
}

/// The role that a handler asks for, as a type.
pub trait RequiredRole {
    const ROLE: Role;
}

/// At least a manager.
pub struct Manager;
/// An administrator.
pub struct Admin;

impl RequiredRole for Manager {
    const ROLE: Role = Role::Manager;
}

impl RequiredRole for Admin {
    const ROLE: Role = Role::Admin;
}

impl<R: RequiredRole + 'static, P: Principal> FromRequest for RequireRole<R, P> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let principal = P::from_request(request, payload);
        Box::pin(async move {
            let user = principal.await.and_then(|principal| permit(principal, R::ROLE))?;
            Ok(Self { user, role: PhantomData })
        })
    }
}
