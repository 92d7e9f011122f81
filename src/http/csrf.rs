//! Requests that another site made the browser send are refused.
//!
//! Three layers: the browser says where a request comes from ([`same_origin`]), each form of a signed-in person carries
//! the session's token ([`is_token`], asked by [`super::forms::Form`]), and the cookie is `SameSite=Lax`.

use actix_web::Error;
use actix_web::ResponseError as _;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};
use actix_web::middleware::Next;
use subtle::ConstantTimeEq as _;

use super::problem::Problem;
use super::site::{Site, has_secret_path};

pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The form field that holds the session's token.
pub const TOKEN_FIELD: &str = "csrf_token";

/// Lets an unsafe request to a page pass only if the browser says that it comes from our own pages. Wrap with `from_fn`.
pub async fn same_origin<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if !request.method().is_safe() {
        let site = Site::of(request.request());
        if let Err(problem) = check_origin(request.headers(), &site.origin, has_secret_path(request.request())) {
            return Ok(request.into_response(problem.error_response()).map_into_right_body());
        }
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// `null` is what a browser sends as `Origin` from a page whose referrer policy is `no-referrer`, and from sandboxes.
/// It is accepted where the browser itself says `same-origin`, and on one-time links, whose token nobody else has:
/// over plain http there is no `Sec-Fetch-Site`, and these pages are `no-referrer`.
fn check_origin(headers: &HeaderMap, ours: &str, is_one_time_link: bool) -> Result<(), Problem> {
    let all_are = |name, expected: &str| {
        let mut values = headers.get_all(name).map(HeaderValue::as_bytes).peekable();
        values.peek().is_some().then(|| values.all(|value| value == expected.as_bytes()))
    };
    let fetch_site = all_are(SEC_FETCH_SITE, "same-origin");
    let origin = all_are(ORIGIN, ours);
    let is_null = all_are(ORIGIN, "null") == Some(true);

    match (fetch_site, origin) {
        (Some(false), _) => Err(Problem::forged()),
        (_, Some(true)) | (Some(true), None) => Ok(()),
        (None, None) => Err(Problem::forged()),
        (Some(true), Some(false)) if is_null => Ok(()),
        (None, Some(false)) if is_null && is_one_time_link => Ok(()),
        (_, Some(false)) => Err(wrong_origin(headers, ours)),
    }
}

/// Whether a form sent the session's token. Constant time.
pub(super) fn is_token(expected: &str, sent: Option<&str>) -> bool {
    sent.unwrap_or_default().as_bytes().ct_eq(expected.as_bytes()).into()
}

/// Most often no forgery, but an address that the setting doesn't know.
fn wrong_origin(headers: &HeaderMap, ours: &str) -> Problem {
    let theirs = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    let theirs: String = theirs.chars().take(100).collect();
    let detail = format!(
        "Your browser’s address is {theirs}, but this server is {ours}. Open {ours}, or ask your administrator to \
         correct the setting public_url."
    );
    Problem { detail, ..Problem::forged() }
}

#[cfg(test)]
mod tests {
    use actix_web::http::{Method, StatusCode};
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
    use actix_web::{App, HttpResponse, web};

    use super::*;
    use crate::http::site::tests::site;

    const OURS: &str = "https://auth.example.org";

    fn allowed(fetch_site: &[&'static str], origin: &[&'static str], is_one_time_link: bool) -> bool {
        let mut headers = HeaderMap::new();
        for value in fetch_site {
            headers.append(SEC_FETCH_SITE, HeaderValue::from_static(value));
        }
        for value in origin {
            headers.append(ORIGIN, HeaderValue::from_static(value));
        }
        check_origin(&headers, OURS, is_one_time_link).is_ok()
    }

    #[test]
    fn only_our_own_pages_may_send_forms() {
        for is_one_time_link in [false, true] {
            assert!(allowed(&["same-origin"], &[OURS], is_one_time_link));
            assert!(allowed(&["same-origin"], &[], is_one_time_link));
            assert!(allowed(&[], &[OURS], is_one_time_link));
            assert!(allowed(&["same-origin"], &["null"], is_one_time_link));
            assert_eq!(allowed(&[], &["null"], is_one_time_link), is_one_time_link);
            assert!(!allowed(&[], &[], is_one_time_link));

            for fetch_site in ["cross-site", "same-site", "none", "", "Same-Origin"] {
                for origin in [&[][..], &[OURS], &["null"], &["https://evil.test"]] {
                    assert!(!allowed(&[fetch_site], origin, is_one_time_link), "{fetch_site} {origin:?}");
                }
            }
            for origin in [
                "https://evil.test",
                "http://auth.example.org",
                "https://auth.example.org:443",
                "https://auth.example.org.evil.test",
                "https://auth.example.org/",
                "",
            ] {
                for fetch_site in [&[][..], &["same-origin"]] {
                    assert!(!allowed(fetch_site, &[origin], is_one_time_link), "{fetch_site:?} {origin}");
                }
            }
            assert!(!allowed(&["same-origin", "cross-site"], &[OURS], is_one_time_link));
            assert!(!allowed(&[], &[OURS, "https://evil.test"], is_one_time_link));
        }
    }

    #[actix_web::test]
    async fn unsafe_methods_are_checked_and_the_refusal_names_both_addresses() {
        let app = init_service(
            App::new()
                .app_data(site("http://localhost:8080"))
                .wrap(from_fn(same_origin))
                .default_service(web::to(HttpResponse::Ok)),
        )
        .await;
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            let response = call_service(&app, TestRequest::with_uri("/x").method(method).to_request()).await;
            assert_eq!(response.status(), StatusCode::OK);
        }
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let request = TestRequest::with_uri("/x").method(method).insert_header((ORIGIN, "http://127.0.0.1:8080"));
            let response = call_service(&app, request.to_request()).await;
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            let body: serde_json::Value = read_body_json(response).await;
            assert_eq!(body["code"], "forged_request");
            for part in ["http://127.0.0.1:8080", "http://localhost:8080", "public_url"] {
                assert!(body["detail"].as_str().unwrap().contains(part), "{body}");
            }
        }
        let request = TestRequest::post().uri("/x").insert_header((ORIGIN, "http://localhost:8080"));
        assert_eq!(call_service(&app, request.to_request()).await.status(), StatusCode::OK);
    }

    #[test]
    fn only_the_sessions_own_token_passes() {
        assert!(is_token("right", Some("right")));
        for sent in [None, Some(""), Some("wrong"), Some("right "), Some("righ")] {
            assert!(!is_token("right", sent));
        }
    }
}
