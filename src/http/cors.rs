//! Which other origins' scripts may use the API: those of `cors_origins`, and none by default.

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, ORIGIN};
use actix_web::middleware::Condition;

use super::csrf::SEC_FETCH_SITE;
use super::problem::Problem;
use super::site::Site;
use crate::settings::Settings;

/// Seconds for which a browser remembers what it was allowed.
const MAX_AGE: usize = 600;

/// For the API alone. Without `cors_origins` it is not there at all.
pub fn middleware(settings: &Settings) -> Condition<Cors> {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE, IF_MATCH])
        .expose_headers(["etag", "link", "retry-after", "www-authenticate", "x-request-id"])
        // For the refresh cookie: only these origins have it sent.
        .supports_credentials()
        .max_age(MAX_AGE);
    let cors = settings.cors_origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin));
    Condition::new(!settings.cors_origins.is_empty(), cors)
}

/// Whether the refresh cookie of this request may be used: a browser sends it by itself, so the browser must say that
/// the request comes from our own origin or from one of `cors_origins`.
pub fn check_origin(headers: &HeaderMap, site: &Site) -> Result<(), Problem> {
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).map(HeaderValue::as_bytes);
        match (values.next(), values.next()) {
            (first, None) => Ok(first),
            _ => Err(Problem::forged()),
        }
    };
    let (origin, fetch_site) = (one(ORIGIN)?, one(SEC_FETCH_SITE)?);
    let same_origin = fetch_site.map(|fetch_site| fetch_site == b"same-origin");
    let allowed = match origin {
        None => same_origin == Some(true),
        Some(origin) if origin == site.origin.as_bytes() => same_origin != Some(false),
        Some(origin) => site.cors_origins.iter().any(|allowed| allowed.as_bytes() == origin),
    };
    if allowed { Ok(()) } else { Err(Problem::forged()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::site::tests::site;

    #[test]
    fn the_refresh_cookie_is_taken_from_our_origin_and_the_allowed_ones_only() {
        let mut site = site("https://auth.example.org").into_inner();
        std::sync::Arc::get_mut(&mut site).unwrap().cors_origins = vec!["https://app.example.org".to_owned()];
        let allowed = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            check_origin(&headers, &site).is_ok()
        };
        let (ours, app) = ("https://auth.example.org", "https://app.example.org");
        assert!(allowed(&[("origin", ours)]));
        assert!(allowed(&[("sec-fetch-site", "same-origin")]));
        assert!(allowed(&[("origin", ours), ("sec-fetch-site", "same-origin")]));
        assert!(allowed(&[("origin", app), ("sec-fetch-site", "same-site")]));
        assert!(allowed(&[("origin", app), ("sec-fetch-site", "cross-site")]));
        assert!(allowed(&[("origin", app)]));
        for refused in [
            &[][..],
            &[("origin", "https://evil.test")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "https://app.example.org.evil.test")],
            &[("origin", "http://app.example.org")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("origin", ours), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://evil.test"), ("sec-fetch-site", "same-origin")],
            &[("origin", ours), ("origin", app)],
            &[("origin", ours), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!allowed(refused), "{refused:?}");
        }
    }
}
