//! Step-up: a sensitive act asks that the password was entered no longer than `reauthentication_window` ago. Which
//! routes ask it stands in the route table; what the table's check found is what lets a handler act, so that a route
//! which asks nothing lets nobody do what is sensitive.

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, web};
use futures_util::future::LocalBoxFuture;

use super::bearer::ApiUser;
use super::current_user::CurrentUser;
use super::principal::Principal;
use super::problem::Problem;
use crate::domain::{self, Actor, User};
use crate::services::{RecentAuthContext, RecentProof, Services};

/// Whether a route asks for a recent entry of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepUp {
    /// It does nothing that is sensitive.
    Never,
    /// Before its handler.
    AtTheDoor,
    /// In its handler, which first looks at what is asked for.
    Within,
}

/// What the check of the window found, for the length of the request.
#[derive(Clone)]
struct Found(Option<RecentProof>);

impl StepUp {
    /// Refuses an older entry at the door, and leaves for [`SteppedUp`] what it found.
    pub(super) fn check<P: Principal>(self, request: &HttpRequest, principal: &P) -> Result<(), Error> {
        if self == Self::Never {
            return Ok(());
        }
        let services = request.app_data::<web::Data<Services>>().ok_or_else(Problem::unavailable)?;
        let proof = RecentProof::of(services, principal.session());
        if self == Self::AtTheDoor && proof.is_none() {
            return Err(P::password_first(request));
        }
        request.extensions_mut().insert(Found(proof));
        Ok(())
    }
}

/// Whoever entered the password recently enough, as the check of the route found. On a route that checks nothing this
/// refuses everybody.
pub struct SteppedUp<P = CurrentUser> {
    pub user: P,
    proof: RecentProof,
}

impl SteppedUp<CurrentUser> {
    /// For what is sensitive; `account` is the caller's.
    pub fn auth_context(&self, account: &User) -> RecentAuthContext {
        RecentAuthContext::signed_in(Actor::user(account), account.role, &self.proof)
    }
}

impl SteppedUp<ApiUser> {
    /// For what is sensitive.
    pub fn auth_context(&self) -> RecentAuthContext {
        RecentAuthContext::signed_in(self.user.actor(), self.user.session.role, &self.proof)
    }
}

impl<P: Principal> FromRequest for SteppedUp<P> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (principal, request) = (P::from_request(request, payload), request.clone());
        Box::pin(async move {
            let user = principal.await?;
            let found = request.extensions().get::<Found>().cloned();
            match found {
                Some(Found(Some(proof))) => Ok(Self { user, proof }),
                Some(Found(None)) => Err(P::password_first(&request)),
                None => {
                    let error = domain::Error::internal("the route table asks for no recent password here");
                    Err(Problem::from(error).into())
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use actix_identity::IdentityMiddleware;
    use actix_web::App;
    use actix_web::http::header::COOKIE;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};

    use super::*;
    use crate::domain::Role;
    use crate::http::authenticate;
    use crate::http::session_store::tests::{cookie_with, live, one_session};

    #[actix_web::test]
    async fn where_the_route_asks_for_no_recent_password_nobody_has_entered_one() {
        let app = init_service(
            App::new()
                .wrap(IdentityMiddleware::default())
                .wrap(from_fn(authenticate::authenticate))
                .wrap(one_session(Some(live(Role::Admin))))
                .wrap(from_fn(authenticate::carry))
                .route("/act", web::to(|_: SteppedUp| async { "done" }))
                .route("/some", web::to(|recent: Option<SteppedUp>| async move { recent.is_some().to_string() })),
        )
        .await;
        let ask = |path: &str| TestRequest::get().uri(path).insert_header((COOKIE, cookie_with("live"))).to_request();
        assert_eq!(call_service(&app, ask("/act")).await.status(), 500);
        let some = call_service(&app, ask("/some")).await;
        assert_eq!(actix_web::test::read_body(some).await, "false");
    }
}
