//! Who is calling, as extractors. A handler gets a user in no other way.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::domain::session::LiveSession;
use crate::services::Caller;

/// The signed-in person. Refuses a guest: a page redirects to `/login?next=…`.
#[derive(Clone, Debug)]
pub struct CurrentUser {
    pub session: LiveSession,
    /// For the hidden field `csrf_token`; new with every new secret.
    pub csrf_token: String,
}

impl CurrentUser {
    pub fn caller(&self) -> Caller { todo!() }
}

/// Someone signed in or a guest; for pages that serve both.
pub struct MaybeUser(pub Option<CurrentUser>);
