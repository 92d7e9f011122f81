//! On both sides of the session middleware. What the store says of a request's session goes past actix-session, which
//! would keep it as JSON, into the request's extensions. A store that did not answer is 503, never "signed out", never
//! "let in".

use std::cell::Cell;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, ResponseError as _};
use tokio::task_local;

use super::cookie_session::{CookieSession, Former};
use super::problem::Problem;
use super::repeat;

task_local! {
    /// Of the one request whose future is polled, also where a worker has many under way.
    static LOADED: Cell<Option<Loaded>>;
}

/// What the store said of the session that a cookie opens.
pub(super) enum Loaded {
    Live(CookieSession),
    /// It could not be asked: whether someone is signed in isn't known.
    Failed,
    /// No session has this secret, or not any more.
    Former(Former),
}

/// [`carry`] is not around the session middleware.
#[derive(Debug, thiserror::Error)]
#[error("what the store says of sessions has no way to the request")]
pub(super) struct NotCarried;

/// Right outside the session middleware. Wrap with `from_fn`.
pub async fn carry<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    LOADED.scope(Cell::new(None), next.call(request)).await
}

/// For [`authenticate`], from within the session middleware.
pub(super) fn leave(loaded: Loaded) -> Result<(), NotCarried> {
    LOADED.try_with(|cell| cell.set(Some(loaded))).map_err(|_| NotCarried)
}

/// Right inside the session middleware. Wrap with `from_fn`. The session's state is left as it was loaded, so the browser
/// keeps its cookie.
pub async fn authenticate<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let session = match LOADED.try_with(Cell::take) {
        Ok(Some(Loaded::Failed)) => Err(Problem::unavailable()),
        Ok(Some(Loaded::Live(session))) => Ok(Some(session)),
        Ok(Some(Loaded::Former(former))) => repeat::recognise(&mut request, former).await,
        Ok(None) | Err(_) => Ok(None),
    };
    match session {
        Ok(Some(session)) => {
            request.extensions_mut().insert(session);
        }
        Ok(None) => {}
        Err(problem) => return Ok(request.into_response(problem.error_response()).map_into_right_body()),
    }
    Ok(next.call(request).await?.map_into_left_body())
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use actix_identity::IdentityMiddleware;
    use actix_web::http::header::COOKIE;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, web};
    use futures_util::FutureExt as _;
    use tokio::sync::Barrier;

    use super::*;
    use crate::domain::Role;
    use crate::http::current_user::MaybeUser;
    use crate::http::session_store::tests::{answering, cookie_with, live, one_session};

    fn asks(cookie: Option<String>) -> TestRequest {
        let request = TestRequest::get().uri("/");
        match cookie {
            Some(cookie) => request.insert_header((COOKIE, cookie)),
            None => request,
        }
    }

    async fn who(user: MaybeUser) -> String {
        user.0.map_or_else(|| "a guest".to_owned(), |user| format!("{} {}", user.session.role, user.csrf_token))
    }

    /// An app with `$sessions` for its session middleware, which says who asks.
    macro_rules! app {
        ($sessions:expr) => {
            init_service(
                App::new()
                    .wrap(IdentityMiddleware::default())
                    .wrap(from_fn(authenticate))
                    .wrap($sessions)
                    .wrap(from_fn(carry))
                    .route("/", web::get().to(who)),
            )
            .await
        };
    }

    /// What the store knows in these tests.
    fn known(key: &str) -> Option<Loaded> {
        let role = match key {
            "ada" => Role::Admin,
            "bob" => Role::User,
            "failing" => return Some(Loaded::Failed),
            _ => return None,
        };
        Some(Loaded::Live(CookieSession {
            live: live(role),
            secret: crate::domain::keys::SecretHash([0; 32]),
            csrf_token: format!("of {key}"),
            repeats: false,
        }))
    }

    #[actix_web::test]
    async fn requests_under_way_at_once_in_one_worker_get_each_their_own_session() {
        // Each of the four that reach the store leaves what it finds there, and waits for the others.
        let all = Rc::new(Barrier::new(4));
        let app = app!(answering(async move |key: &str| {
            if let Some(loaded) = known(key) {
                leave(loaded).unwrap();
            }
            all.wait().await;
            known(key)
        }));
        let ask = async |cookie: Option<String>| {
            let response = call_service(&app, asks(cookie).to_request()).await;
            (response.status().as_u16(), String::from_utf8(read_body(response).await.to_vec()).unwrap())
        };
        let with = |key: &str| Some(cookie_with(key));
        let forged = Some(format!("{}x", cookie_with("ada")));
        let (ada, none, bob, failing, forged, unknown) = tokio::join!(
            ask(with("ada")),
            ask(None),
            ask(with("bob")),
            ask(with("failing")),
            ask(forged),
            ask(with("unknown")),
        );
        assert_eq!(ada, (200, "admin of ada".to_owned()));
        assert_eq!(bob, (200, "user of bob".to_owned()));
        assert_eq!(failing.0, 503);
        for guest in [none, forged, unknown] {
            assert_eq!(guest, (200, "a guest".to_owned()));
        }
    }

    #[actix_web::test]
    async fn the_next_request_of_a_worker_inherits_nothing() {
        let app = app!(answering(async |key: &str| known(key)));
        for (cookie, status, expected) in [
            (Some(cookie_with("ada")), 200, "admin of ada"),
            (None, 200, "a guest"),
            (Some(cookie_with("failing")), 503, ""),
            (Some("portcullis=junk".to_owned()), 200, "a guest"),
            (Some(cookie_with("bob")), 200, "user of bob"),
            (Some(cookie_with("ended")), 200, "a guest"),
        ] {
            let response = call_service(&app, asks(cookie).to_request()).await;
            assert_eq!(response.status(), status);
            if status == 200 {
                assert_eq!(read_body(response).await, expected);
            }
        }
    }

    /// A request that ends in the middle, as when the browser goes away, leaves nothing behind in its worker.
    #[actix_web::test]
    async fn a_request_that_is_given_up_leaves_its_session_to_nobody() {
        let left = Rc::new(Cell::new(false));
        let noted = left.clone();
        let app = app!(answering(async move |key: &str| {
            if key == "ada" {
                leave(known(key).unwrap()).unwrap();
                noted.set(true);
                std::future::pending::<()>().await;
            }
            None
        }));
        let given_up = call_service(&app, asks(Some(cookie_with("ada"))).to_request());
        assert!(given_up.now_or_never().is_none());
        assert!(left.get());
        for cookie in [None, Some(cookie_with("other"))] {
            let response = call_service(&app, asks(cookie).to_request()).await;
            assert_eq!(read_body(response).await, "a guest");
        }
    }

    #[actix_web::test]
    async fn without_the_way_to_the_request_a_session_is_an_error_and_no_guest() {
        let app = init_service(
            App::new()
                .wrap(IdentityMiddleware::default())
                .wrap(from_fn(authenticate))
                .wrap(one_session(Some(live(Role::User))))
                .route("/", web::get().to(who)),
        )
        .await;
        let signed_in = asks(Some(cookie_with("live"))).to_request();
        let refused = actix_web::test::try_call_service(&app, signed_in).await.unwrap_err();
        assert_eq!(refused.as_response_error().status_code(), 500);
        assert_eq!(read_body(call_service(&app, asks(None).to_request()).await).await, "a guest");
    }
}
