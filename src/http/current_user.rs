//! Who is calling, as extractors. A handler gets a user in no other way.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_identity::IdentityExt as _;
use actix_web::dev::Payload;
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::header::LOCATION;
use actix_web::{Error, FromRequest, HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::cookie_session::{self, CookieSession};
use super::principal::Principal;
use super::problem::{Problem, wants_json};
use crate::domain::session::LiveSession;
use crate::domain::{Actor, User};
use crate::services::{AuthContext, Caller};

/// Bytes of an address that `next` still remembers; a longer one would make headers that proxies refuse.
const MAX_NEXT: usize = 2000;

/// The signed-in person. Refuses a guest: a page redirects to `/login?next=…`.
#[derive(Clone, Debug)]
pub struct CurrentUser {
    pub session: LiveSession,
    /// For the hidden field `csrf_token`; the same as long as the session lives.
    pub csrf_token: String,
}

impl CurrentUser {
    pub fn caller(&self) -> Caller {
        Caller { user_id: self.session.user_id, session_id: self.session.id, role: self.session.role }
    }

    /// For what an administrator does; `account` is the caller's.
    pub fn auth_context(&self, account: &User) -> AuthContext {
        AuthContext::signed_in(Actor::user(account), account.role, self.session.id)
    }

    /// Someone is signed in only where the store and actix-identity say the same. Of a former cookie, with which only a
    /// form that comes again gets here, actix-identity knows nothing.
    fn of(request: &HttpRequest) -> Option<Self> {
        let CookieSession { live, csrf_token, repeats, .. } = cookie_session::cookie_session(request)?;
        let is_same = |id: String| id == live.user_id.to_string();
        let known = repeats || request.get_identity().ok()?.id().is_ok_and(is_same);
        known.then_some(Self { session: live, csrf_token })
    }
}

impl FromRequest for CurrentUser {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request).ok_or_else(|| sign_in_first(request)))
    }
}

/// Someone signed in or a guest; for pages that serve both.
pub struct MaybeUser(pub Option<CurrentUser>);

impl FromRequest for MaybeUser {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(CurrentUser::of(request))))
    }
}

impl Principal for CurrentUser {
    fn session(&self) -> &LiveSession {
        &self.session
    }

    fn forbidden() -> Problem {
        Problem::forbidden()
    }

    /// A page sends to `/confirm`, and from there to the page of the act.
    fn password_first(request: &HttpRequest) -> Error {
        if wants_json(request) {
            return Problem::from(crate::domain::Error::ReauthenticationRequired).into();
        }
        // The page of an act has the address to which its form goes.
        see_other(&confirm_url(match request.method().is_safe() {
            true => request.uri().path_and_query().map_or("/", |asked| asked.as_str()),
            false => request.path(),
        }))
    }
}

/// Where the password is asked for again, to go on at `next`.
pub fn confirm_url(next: &str) -> String {
    format!("/confirm?next={}", utf8_percent_encode(next, NON_ALPHANUMERIC))
}

/// A person is sent to the sign-in page, and from there back to what was asked for; a program gets 401.
fn sign_in_first(request: &HttpRequest) -> Error {
    if wants_json(request) {
        return Problem::not_signed_in().into();
    }
    let asked = request.uri().path_and_query().map_or("/", |asked| asked.as_str());
    // What a form would have done can't be repeated by going to its address.
    let returns = matches!(*request.method(), Method::GET | Method::HEAD) && asked.len() <= MAX_NEXT;
    let login = if returns {
        format!("/login?next={}", utf8_percent_encode(asked, NON_ALPHANUMERIC))
    } else {
        "/login".to_owned()
    };
    see_other(&login)
}

/// A refusal that sends elsewhere.
fn see_other(location: &str) -> Error {
    let response = HttpResponse::SeeOther().insert_header((LOCATION, location)).finish();
    InternalError::from_response("sent elsewhere", response).into()
}

#[cfg(test)]
mod tests {
    use actix_identity::IdentityMiddleware;
    use actix_web::http::header::{ACCEPT, COOKIE};
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, web};

    use super::*;
    use crate::domain::Role;
    use crate::http::require_role::{Admin, Manager, RequireRole};
    use crate::http::session_cookie;
    use crate::http::session_store::tests::{cookie_with, live, one_session};

    /// Status, `Location` and body for someone of this role, or for a guest.
    async fn answer(role: Option<Role>, request: TestRequest) -> (u16, String, String) {
        let app = init_service(
            App::new()
                .wrap(IdentityMiddleware::default())
                .wrap(from_fn(crate::http::authenticate::authenticate))
                .wrap(one_session(role.map(live).or(Some(live(Role::Admin)))))
                .wrap(from_fn(crate::http::authenticate::carry))
                .route("/account", web::to(|user: CurrentUser| async move { user.csrf_token }))
                .route("/maybe", web::to(|user: MaybeUser| async move { user.0.is_some().to_string() }))
                .route(
                    "/left",
                    web::to(|request: HttpRequest| async move {
                        session_cookie::remove(&request);
                        CurrentUser::of(&request).is_some().to_string()
                    }),
                )
                .route("/manager", web::to(|_: RequireRole<Manager>| async { "in" }))
                .route(
                    "/admin",
                    web::to(|admin: RequireRole<Admin>| async move { admin.user.caller().role.to_string() }),
                ),
        )
        .await;
        let request = match role {
            Some(_) => request.insert_header((COOKIE, cookie_with("live"))),
            None => request.insert_header((COOKIE, cookie_with("ended"))),
        };
        let response = call_service(&app, request.to_request()).await;
        let location = response.headers().get(LOCATION).map_or("", |location| location.to_str().unwrap()).to_owned();
        (response.status().as_u16(), location, String::from_utf8(read_body(response).await.to_vec()).unwrap())
    }

    fn get(uri: &str) -> TestRequest {
        TestRequest::get().uri(uri)
    }

    #[actix_web::test]
    async fn a_guest_is_sent_to_sign_in_and_back() {
        let (status, location, _) = answer(None, get("/account?a=1&b=/x")).await;
        assert_eq!((status, location.as_str()), (303, "/login?next=%2Faccount%3Fa%3D1%26b%3D%2Fx"));
        let (status, location, _) = answer(None, TestRequest::post().uri("/account")).await;
        assert_eq!((status, location.as_str()), (303, "/login"));
        let (status, location, _) = answer(None, get(&format!("/account?{}", "a".repeat(3000)))).await;
        assert_eq!((status, location.as_str()), (303, "/login"));
        let (status, location, body) = answer(None, get("/account").insert_header((ACCEPT, "application/json"))).await;
        assert_eq!((status, location.as_str()), (401, ""));
        assert!(body.contains("not_signed_in"));
        assert_eq!(answer(None, get("/admin")).await.0, 303);
        assert_eq!(answer(None, get("/maybe")).await.2, "false");
    }

    #[actix_web::test]
    async fn a_signed_in_person_reaches_what_the_role_allows() {
        for (role, manager, admin) in [(Role::User, 403, 403), (Role::Manager, 200, 403), (Role::Admin, 200, 200)] {
            assert_eq!(answer(Some(role), get("/account")).await, (200, "".into(), "right-token".into()));
            assert_eq!(answer(Some(role), get("/manager")).await.0, manager, "{role}");
            assert_eq!(answer(Some(role), get("/admin")).await.0, admin, "{role}");
            assert_eq!(answer(Some(role), get("/maybe")).await.2, "true");
        }
    }

    #[actix_web::test]
    async fn nobody_is_signed_in_after_the_cookie_was_removed() {
        assert_eq!(answer(Some(Role::User), get("/left")).await.2, "false");
    }
}
