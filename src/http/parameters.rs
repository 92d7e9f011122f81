//! What comes in the address: path and query.

use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpRequest, ResponseError as _};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::fields::{Fields, Repeated};
use super::problem::Problem;

/// Refuses a path or a query with a NUL or what isn't UTF-8, for all routes. Wrap with `from_fn`.
pub async fn check_target<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if !is_text(request.uri().path()) || !is_text(request.query_string()) {
        let problem = Problem::bad_request("The address is not text in UTF-8.");
        return Ok(request.into_response(problem.error_response()).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

fn is_text(encoded: &str) -> bool {
    // Nothing is hidden in it, as in nearly all.
    if !encoded.contains('%') {
        return !encoded.contains('\0');
    }
    percent_decode_str(encoded).decode_utf8().is_ok_and(|text| !text.contains('\0'))
}

/// The last variable part of the route's path. What it can't be is 404, as an id that nobody has.
pub struct PathParam<T>(pub T);

impl<T: FromStr> FromRequest for PathParam<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let value = request.match_info().iter().last().and_then(|(_, text)| text.parse().ok());
        ready(value.map(Self).ok_or_else(Problem::not_found))
    }
}

/// The query. `T`'s fields are strings, or options of them; of a name that comes twice the first counts, unknown ones
/// are ignored.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let fields = Fields::parse(request.query_string().as_bytes(), Repeated::FirstCounts);
        ready(fields.and_then(Fields::into).map(Self))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, web};
    use serde::Deserialize;

    use super::*;
    use crate::domain::{Clock, SessionId};

    #[derive(Deserialize)]
    struct Next {
        next: Option<String>,
    }

    async fn get(uri: &str) -> (u16, String) {
        let app = init_service(
            App::new()
                .wrap(from_fn(check_target))
                .route("/sessions/{id}/end", web::get().to(|id: PathParam<SessionId>| async move { id.0.to_string() }))
                .route("/login", web::get().to(|query: Query<Next>| async move { query.0.next.unwrap_or_default() })),
        )
        .await;
        let response = call_service(&app, TestRequest::get().uri(uri).to_request()).await;
        let status = response.status().as_u16();
        (status, String::from_utf8(read_body(response).await.to_vec()).unwrap())
    }

    #[actix_web::test]
    async fn an_address_with_a_nul_or_without_utf8_is_refused() {
        for uri in ["/login%00", "/%ff", "/login?next=%00", "/login?next=%ff", "/login?%ff=1", "/x/%C0%80"] {
            assert_eq!(get(uri).await.0, 400, "{uri}");
        }
        assert_eq!(get("/login?next=%2Fk%C3%B6ln").await, (200, "/köln".into()));
        assert_eq!(get("/login").await, (200, "".into()));
        assert_eq!(get("/login?next=%2Fa&next=//evil.test&other").await, (200, "/a".into()));
        assert_eq!(get("/nothing%20here").await.0, 404);
    }

    #[actix_web::test]
    async fn an_id_that_is_none_is_not_found() {
        let id = SessionId::new(Clock::default().now()).to_string();
        assert_eq!(get(&format!("/sessions/{id}/end")).await, (200, id.clone()));
        for bad in ["x", "1", &id.to_uppercase(), &id[1..], "*", "%27%20OR%201=1", &"a".repeat(10_000)] {
            assert_eq!(get(&format!("/sessions/{bad}/end")).await.0, 404, "{bad}");
        }
    }
}
