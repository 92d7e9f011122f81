use actix_identity::IdentityMiddleware;
use actix_session::Session;
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpRequest, HttpResponse, web};

use super::*;
use crate::domain::keys::{Secret, SessionHandle};
use crate::domain::{Clock, Role, SessionId, UserId};
use crate::http::session_store::tests::{cookie_with, live, one_session};
use crate::http::site::tests::site;
use crate::http::{authenticate, session_cookie};

fn cleaned(lines: &[&[u8]], https: bool) -> Result<Option<String>, Repeated> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
    }
    Ok(our_cookies(&headers, &CookieNames::new("portcullis", https))?.map(|value| value.to_str().unwrap().to_owned()))
}

#[test]
fn only_names_that_are_ours_byte_for_byte_pass() {
    let foreign: [&[u8]; 12] = [
        b"__Host%2Dportcullis=x",
        b"%5F%5FHost-portcullis=x",
        b"__HOST-portcullis=x",
        b"__Host-portcullis =x",
        "\u{2000}__Host-portcullis=x".as_bytes(),
        "\u{a0}__Host-portcullis=x".as_bytes(),
        "__Host-portcullis\u{3000}=x".as_bytes(),
        b"\x85__Host-portcullis=x",
        b"__Host-portcullis",
        b"=x",
        b"portcullis=x",
        b"__Host-portcullis-other=x",
    ];
    for line in foreign {
        assert_eq!(cleaned(&[line], true), Ok(None), "{}", String::from_utf8_lossy(line));
    }
    assert_eq!(cleaned(&[b"a=1; __Host-portcullis=abc%3D; b=2"], true), Ok(Some("__Host-portcullis=abc%3D".into())));
    assert_eq!(cleaned(&[b"portcullis=abc"], false), Ok(Some("portcullis=abc".into())));
}

#[test]
fn one_bad_cookie_does_not_take_the_others_along() {
    for bad in [&b"x=\xff"[..], b"x=\"a;b\"", b";;;", b"x", b"portcullis-flash=\xff", b"portcullis-flash=a b"] {
        let line = [bad, b"; portcullis=good"].concat();
        assert_eq!(cleaned(&[&line], false), Ok(Some("portcullis=good".into())), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn our_name_twice_is_refused_in_either_order_and_over_several_lines() {
    assert_eq!(cleaned(&[b"portcullis=bad; portcullis=good"], false), Err(Repeated("portcullis".into())));
    assert_eq!(cleaned(&[b"portcullis=good", b"portcullis=\xff"], false), Err(Repeated("portcullis".into())));
    assert_eq!(
        cleaned(&[b"portcullis=a", b"portcullis-flash=b"], false),
        Ok(Some("portcullis=a; portcullis-flash=b".into()))
    );
}

fn handle() -> SessionHandle {
    let now = Clock::default().now();
    SessionHandle { user_id: UserId::new(now), session_id: SessionId::new(now), secret: Secret::generate() }
}

#[expect(clippy::disallowed_methods, reason = "a handler that does what none should")]
async fn meddle(session: Session) -> HttpResponse {
    session.insert("cart", 1).unwrap();
    HttpResponse::Ok().finish()
}

#[expect(clippy::disallowed_methods, reason = "a handler that does what none should")]
async fn purge(session: Session) -> HttpResponse {
    session.purge();
    HttpResponse::Ok().finish()
}

macro_rules! app {
    ($live:expr) => {
        init_service(
            App::new()
                .app_data(site("http://localhost:8080"))
                .service(
                    web::scope("")
                        .wrap(IdentityMiddleware::default())
                        .wrap(from_fn(authenticate::authenticate))
                        .wrap(one_session($live))
                        .wrap(from_fn(authenticate::carry))
                        .route("/meddle", web::get().to(meddle))
                        .route("/purge", web::get().to(purge))
                        .route(
                            "/in",
                            web::get().to(|request: HttpRequest| async move {
                                session_cookie::issue(&request, &handle(), request.query_string() == "remember");
                                HttpResponse::Ok().finish()
                            }),
                        )
                        .route(
                            "/out",
                            web::get().to(|request: HttpRequest| async move {
                                session_cookie::remove(&request);
                                HttpResponse::Ok().finish()
                            }),
                        ),
                )
                .wrap(from_fn(guard)),
        )
        .await
    };
}

/// The `Set-Cookie` lines for a request to `path`, signed in or as a guest.
async fn set_cookies(path: &str, cookie: Option<String>) -> Vec<String> {
    let app = app!(Some(live(Role::User)));
    let mut request = TestRequest::get().uri(path);
    if let Some(cookie) = cookie {
        request = request.insert_header((COOKIE, cookie));
    }
    let response = call_service(&app, request.to_request()).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.headers().get_all(SET_COOKIE).map(|line| line.to_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn no_session_cookie_leaves_without_a_mark() {
    for path in ["/meddle", "/purge"] {
        for cookie in [None, Some(cookie_with("live")), Some(cookie_with("old")), Some("portcullis=junk".into())] {
            assert_eq!(set_cookies(path, cookie).await, Vec::<String>::new(), "{path}");
        }
    }
}

#[actix_web::test]
async fn a_session_cookie_is_issued_with_max_age_only_where_it_shall_be_remembered() {
    for cookie in [None, Some(cookie_with("live"))] {
        let lines = set_cookies("/in", cookie.clone()).await;
        assert_eq!(lines.len(), 1);
        let (pair, attributes) = lines[0].split_once("; ").unwrap();
        assert!(pair.starts_with("portcullis=") && pair.len() > 100 && pair.len() < 4096, "{pair}");
        assert_eq!(attributes, "HttpOnly; SameSite=Lax; Path=/");
        let lines = set_cookies("/in?remember", cookie).await;
        assert!(lines[0].ends_with("; HttpOnly; SameSite=Lax; Path=/; Max-Age=7776000"), "{lines:?}");
    }
}

#[actix_web::test]
async fn a_removal_has_the_attributes_of_the_cookie_even_for_a_session_that_is_gone() {
    for cookie in [None, Some(cookie_with("live")), Some(cookie_with("old"))] {
        let lines = set_cookies("/out", cookie).await;
        assert_eq!(
            lines,
            ["portcullis=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
        );
    }
    let removal = OurCookie::Session.removal(&CookieNames::new("portcullis", true)).to_string();
    assert!(removal.starts_with("__Host-portcullis=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"));
}

#[actix_web::test]
async fn a_store_that_does_not_answer_is_503_and_keeps_the_cookie() {
    let app = app!(None);
    let request = TestRequest::get().uri("/in").insert_header((COOKIE, cookie_with("live"))).to_request();
    let response = call_service(&app, request).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after") && !response.headers().contains_key(SET_COOKIE));
}

#[actix_web::test]
async fn a_repeated_cookie_is_answered_with_a_problem() {
    let app = app!(Some(live(Role::User)));
    let request = TestRequest::get().uri("/in").insert_header((COOKIE, "portcullis=a; portcullis=b")).to_request();
    let response = call_service(&app, request).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body = read_body(response).await;
    assert!(String::from_utf8_lossy(&body).contains("repeated_cookie"));
}
