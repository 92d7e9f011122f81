//! What the door of a route asks of whoever is calling: one definition for pages and API.

use actix_web::{Error, FromRequest, HttpRequest};

use super::problem::Problem;
use crate::domain::Role;
use crate::domain::session::LiveSession;

/// Who is calling, as an edge knows it: [`super::current_user::CurrentUser`] on pages, [`super::bearer::ApiUser`] in the
/// API. Its extractor refuses a guest.
pub trait Principal: FromRequest<Error = Error> + 'static {
    /// The session that acts, with the present role.
    fn session(&self) -> &LiveSession;

    /// What someone of a lower role is told. 403.
    fn forbidden() -> Problem;

    /// The answer that asks for the password first, where its last entry is too old for what is sensitive.
    fn password_first(request: &HttpRequest) -> Error;
}

/// Refuses a lower role than is required.
pub(super) fn permit<P: Principal>(principal: P, required: Role) -> Result<P, Error> {
    if principal.session().role.reaches(required) { Ok(principal) } else { Err(P::forbidden().into()) }
}
