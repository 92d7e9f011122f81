//! Headers of every answer, errors included.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;

use super::request_id;
use super::site::{Site, has_secret_path};

/// Everything from here and nothing inline. `form-action` also holds for the redirect after a form.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; \
                                       form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const ALWAYS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    (header::PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wrap with `from_fn`, inside the logger. `Cache-Control` is `no-store` unless a handler chose otherwise.
pub async fn add<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let https = Site::of(response.request()).https;
    // The address of a one-time link is a secret, so it is not sent along, not even to ourselves.
    let referrer = if has_secret_path(response.request()) { "no-referrer" } else { "same-origin" };
    let request_id = request_id::of(response.request());

    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static(referrer));
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(id) = request_id.and_then(|id| HeaderValue::from_str(&id.to_string()).ok()) {
        headers.insert(REQUEST_ID, id);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};

    use super::*;
    use crate::http::request_log;
    use crate::http::site::tests::site;
    use crate::http::{cookie_guard, problem};

    async fn answer(origin: &str, request: TestRequest) -> ServiceResponse<impl MessageBody> {
        let asset = || async { HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "immutable")).finish() };
        let app = init_service(
            App::new()
                .app_data(site(origin))
                .route("/asset", web::get().to(asset))
                .route("/page", web::get().to(HttpResponse::Ok))
                .wrap(from_fn(cookie_guard::guard))
                .wrap(from_fn(problem::render))
                .wrap(from_fn(add))
                .wrap(from_fn(request_log::log)),
        )
        .await;
        call_service(&app, request.to_request()).await
    }

    fn value<'a, B>(response: &'a ServiceResponse<B>, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[actix_web::test]
    async fn every_answer_has_them_errors_and_refusals_by_a_middleware_too() {
        let twice = TestRequest::get().uri("/page").insert_header((header::COOKIE, "portcullis=a; portcullis=b"));
        for (request, status) in [
            (TestRequest::get().uri("/page"), StatusCode::OK),
            (TestRequest::get().uri("/nothing"), StatusCode::NOT_FOUND),
            (TestRequest::post().uri("/page"), StatusCode::NOT_FOUND),
            (twice, StatusCode::BAD_REQUEST),
        ] {
            let response = answer("http://localhost:8080", request).await;
            assert_eq!(response.status(), status);
            for (name, expected) in ALWAYS {
                assert_eq!(value(&response, name.as_str()), expected);
            }
            assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
            assert_eq!(value(&response, "cache-control"), "no-store");
            assert_eq!(value(&response, "referrer-policy"), "same-origin");
            assert_eq!(value(&response, "x-request-id").len(), 36);
            assert_eq!(value(&response, "strict-transport-security"), "");
        }
    }

    #[actix_web::test]
    async fn the_id_is_ours_hsts_is_for_https_and_a_handler_may_allow_caching() {
        let theirs = "018f0000-0000-7000-8000-000000000000";
        let request = TestRequest::get().uri("/asset").insert_header(("x-request-id", theirs));
        let response = answer("https://auth.example.org", request).await;
        assert_ne!(value(&response, "x-request-id"), theirs);
        assert_eq!(value(&response, "x-request-id").as_bytes()[14], b'7');
        assert_eq!(value(&response, "strict-transport-security"), "max-age=31536000");
        assert_eq!(value(&response, "cache-control"), "immutable");
    }

    #[actix_web::test]
    async fn a_one_time_link_sends_no_referrer() {
        for path in ["/setup/token", "/reset/token", "/%72eset/token"] {
            let response = answer("http://localhost:8080", TestRequest::get().uri(path)).await;
            assert_eq!(value(&response, "referrer-policy"), "no-referrer", "{path}");
        }
    }
}
