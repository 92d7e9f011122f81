//! Which other origins' scripts may use the API: those of `cors_origins`, and none by default.

use std::rc::Rc;

use actix_cors::Cors;
use actix_web::Error;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, ORIGIN};
use futures_util::future::LocalBoxFuture;

use super::csrf::SEC_FETCH_SITE;
use super::problem::Problem;
use super::site::Site;
use crate::settings::Settings;

/// Seconds for which a browser remembers what it was allowed.
const MAX_AGE: usize = 600;

/// For the API alone. A request of another origin than `cors_origins` is answered as if there were no CORS at all.
pub fn middleware(settings: &Settings) -> ForAllowed {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE, IF_MATCH])
        .expose_headers([
            "etag",
            "link",
            "location",
            "ratelimit",
            "ratelimit-policy",
            "retry-after",
            "www-authenticate",
            "x-request-id",
        ])
        // For the refresh cookie: only these origins have it sent.
        .supports_credentials()
        .max_age(MAX_AGE);
    let cors = settings.cors_origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin));
    ForAllowed { cors, origins: settings.cors_origins.clone().into() }
}

/// actix-cors for some origins alone: to the others it would still say what those may do.
pub struct ForAllowed {
    cors: Cors,
    origins: Rc<[String]>,
}

impl<S, B> Transform<S, ServiceRequest> for ForAllowed
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = AllowedOrNot<S, <Cors as Transform<Rc<S>, ServiceRequest>>::Transform>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let service = Rc::new(service);
        let cors = self.cors.new_transform(service.clone());
        let origins = self.origins.clone();
        Box::pin(async move { Ok(AllowedOrNot { origins, cors: cors.await?, service }) })
    }
}

/// What [`ForAllowed`] makes of a service.
pub struct AllowedOrNot<S, C> {
    origins: Rc<[String]>,
    cors: C,
    service: Rc<S>,
}

impl<S, C, B> Service<ServiceRequest> for AllowedOrNot<S, C>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    C: Service<ServiceRequest, Response = ServiceResponse<EitherBody<B>>, Error = Error>,
    C::Future: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let origin = request.headers().get(ORIGIN).map(HeaderValue::as_bytes);
        if self.origins.iter().any(|allowed| origin == Some(allowed.as_bytes())) {
            return Box::pin(self.cors.call(request));
        }
        let answer = self.service.call(request);
        Box::pin(async move { Ok(answer.await?.map_into_left_body()) })
    }
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
