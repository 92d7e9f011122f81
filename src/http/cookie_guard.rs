//! The only reader of the `Cookie` header and the only writer of our cookies.
//!
//! actix-web reads names leniently: it trims Unicode white space and percent-decodes them, so that a neighbouring
//! domain could set `__Host%2Dportcullis`, which no browser protects, and have it read as ours. It also gives up on
//! all cookies where one isn't UTF-8. So the header is rebuilt here from the pairs whose name is ours, byte for byte.
//!
//! On the way out, actix-session's own `Set-Cookie` passes only where a handler left a mark: a slow request can't put
//! an older secret over a newer cookie, and a refused old secret doesn't take away the new one.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::cookie::Cookie;
use actix_web::cookie::time::Duration;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, ResponseError as _};

use super::cookies::OurCookie;
use super::problem::Problem;
use super::session_cookie::CookieChange;
use super::site::Site;
use super::{device_cookie, flash};

/// Wrap with `from_fn`, outside the session middleware.
pub async fn guard<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let https = Site::of(request.request()).https;
    let ours = match our_cookies(request.headers(), https) {
        Ok(ours) => ours,
        Err(Repeated(name)) => {
            let detail = format!("The cookie “{name}” came twice. Delete the cookies of this site and try again.");
            let problem = Problem::new(StatusCode::BAD_REQUEST, "repeated_cookie", detail);
            return Ok(request.into_response(problem.error_response()).map_into_right_body());
        }
    };
    request.headers_mut().remove(COOKIE);
    if let Some(ours) = ours {
        request.headers_mut().insert(COOKIE, ours);
    }

    let mut response = next.call(request).await?;
    let lines = outgoing(&response);
    response.headers_mut().remove(SET_COOKIE);
    for line in lines {
        response.headers_mut().append(SET_COOKIE, line);
    }
    Ok(response.map_into_left_body())
}

/// A cookie of ours that came more than once: which one is meant can't be known.
#[derive(Debug, PartialEq)]
struct Repeated(&'static str);

/// The `Cookie` header with our well-formed cookies only; all header lines count as one. `None` where there are none.
fn our_cookies(headers: &HeaderMap, https: bool) -> Result<Option<HeaderValue>, Repeated> {
    let names = OurCookie::ALL.map(|cookie| cookie.name(https));
    let mut seen = [false; OurCookie::ALL.len()];
    let mut kept: Vec<&[u8]> = Vec::new();
    for pair in headers.get_all(COOKIE).flat_map(|line| line.as_bytes().split(|byte| *byte == b';')) {
        let pair = pair.trim_ascii();
        let Some((position, name, value)) = names.iter().enumerate().find_map(|(position, name)| {
            let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some((position, *name, value))
        }) else {
            continue;
        };
        if std::mem::replace(&mut seen[position], true) {
            return Err(Repeated(name));
        }
        if value.iter().all(|byte| is_cookie_octet(*byte)) {
            kept.push(pair);
        }
    }
    // All of it is visible ASCII, so this can't fail.
    Ok((!kept.is_empty()).then(|| HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok()).flatten())
}

/// RFC 6265, 4.1.1: visible ASCII without quote, comma, semicolon and backslash.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

/// The `Set-Cookie` lines that this answer shall have.
fn outgoing<B>(response: &ServiceResponse<B>) -> Vec<HeaderValue> {
    let request = response.request();
    let site = Site::of(request);
    let is_session = |line: &&HeaderValue| {
        line.as_bytes()
            .strip_prefix(OurCookie::Session.name(site.https).as_bytes())
            .is_some_and(|rest| rest.starts_with(b"="))
    };
    let (session, others): (Vec<_>, Vec<_>) = response.headers().get_all(SET_COOKIE).partition(is_session);
    let mut lines: Vec<HeaderValue> = others.into_iter().cloned().collect();

    let change = request.extensions().get::<CookieChange>().copied();
    let session = match change {
        None => None,
        Some(CookieChange::Removed) => Some(OurCookie::Session.removal(site.https)),
        Some(CookieChange::Issued { remember }) => session.last().and_then(|line| {
            let mut cookie = Cookie::parse(line.to_str().ok()?.to_owned()).ok()?;
            if remember {
                cookie.set_max_age(Duration::seconds(site.remember_seconds));
            }
            Some(cookie)
        }),
    };
    for cookie in session.into_iter().chain(flash::outgoing(request)).chain(device_cookie::outgoing(request)) {
        lines.extend(HeaderValue::from_str(&cookie.to_string()));
    }
    lines
}

#[cfg(test)]
mod tests {
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
        Ok(our_cookies(&headers, https)?.map(|value| value.to_str().unwrap().to_owned()))
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
        assert_eq!(
            cleaned(&[b"a=1; __Host-portcullis=abc%3D; b=2"], true),
            Ok(Some("__Host-portcullis=abc%3D".into()))
        );
        assert_eq!(cleaned(&[b"portcullis=abc"], false), Ok(Some("portcullis=abc".into())));
    }

    #[test]
    fn one_bad_cookie_does_not_take_the_others_along() {
        for bad in [&b"x=\xff"[..], b"x=\"a;b\"", b";;;", b"x", b"portcullis-flash=\xff", b"portcullis-flash=a b"] {
            let line = [bad, b"; portcullis=good"].concat();
            assert_eq!(
                cleaned(&[&line], false),
                Ok(Some("portcullis=good".into())),
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
    }

    #[test]
    fn our_name_twice_is_refused_in_either_order_and_over_several_lines() {
        assert_eq!(cleaned(&[b"portcullis=bad; portcullis=good"], false), Err(Repeated("portcullis")));
        assert_eq!(cleaned(&[b"portcullis=good", b"portcullis=\xff"], false), Err(Repeated("portcullis")));
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
        let removal = OurCookie::Session.removal(true).to_string();
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
}
