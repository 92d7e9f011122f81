//! Problems in answers: taken by whoever renders them, or rendered as they are.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::middleware::Next;

use super::{CONTENT_TYPE_OF_PROBLEMS, Problem};
use crate::http::request_id;

/// The problem that this answer is, for whoever renders it: the one that was left in it, or one made from the status
/// where actix-web answered by itself (404, 405, …). `None` where the answer is no error or has its own body.
pub fn take<B>(response: &mut ServiceResponse<B>) -> Option<Problem> {
    if let Some(problem) = response.response_mut().extensions_mut().remove::<Problem>() {
        return Some(problem);
    }
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_bare = content_type.is_none_or(|content_type| content_type.starts_with(b"text/plain"));
    ((status.is_client_error() || status.is_server_error()) && is_bare).then(|| Problem::of_status(status))
}

/// Gives each problem that nobody inside has rendered its body, with the request id. Wrap with `from_fn`.
pub async fn render<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let mut response = next.call(request).await?;
    let Some(problem) = take(&mut response) else { return Ok(response.map_into_left_body()) };
    let body = problem.to_json(request_id::of(response.request()));
    Ok(response.map_body(|head, _| {
        head.headers_mut().insert(CONTENT_TYPE, CONTENT_TYPE_OF_PROBLEMS);
        EitherBody::right(BoxBody::new(body))
    }))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::RETRY_AFTER;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
    use actix_web::{App, HttpResponse, web};
    use serde_json::Value;

    use super::*;
    use crate::domain::Error;
    use crate::http::request_log;
    use crate::http::site::tests::site;

    #[actix_web::test]
    async fn every_error_answer_is_a_problem_with_the_request_id() {
        let app = init_service(
            App::new()
                .app_data(site("http://localhost:8080"))
                .service(web::resource("/only-post").route(web::post().to(HttpResponse::Ok)))
                .route("/text", web::get().to(|| async { HttpResponse::BadRequest().body("Json error: line 1") }))
                .route("/raced", web::get().to(|| async { Err::<HttpResponse, _>(Problem::from(Error::Raced)) }))
                .route(
                    "/down",
                    web::get().to(|| async {
                        Err::<HttpResponse, _>(Problem::from(Error::database("connection to 10.0.0.3 refused")))
                    }),
                )
                .wrap(from_fn(render))
                .wrap(from_fn(request_log::log)),
        )
        .await;
        for (path, status, code) in [
            ("/nothing", 404, "not_found"),
            ("/only-post", 405, "method_not_allowed"),
            ("/text", 400, "bad_request"),
            ("/raced", 409, "raced"),
            ("/down", 503, "unavailable"),
        ] {
            let response = call_service(&app, TestRequest::get().uri(path).to_request()).await;
            assert_eq!(response.status().as_u16(), status, "{path}");
            assert_eq!(response.headers().get(CONTENT_TYPE), Some(&CONTENT_TYPE_OF_PROBLEMS), "{path}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503, "{path}");
            assert_eq!(response.headers().contains_key("allow"), status == 405, "{path}");
            let body: Value = read_body_json(response).await;
            assert_eq!(body["code"], code);
            assert_eq!(body["status"], status);
            assert_eq!(body["request_id"].as_str().map(str::len), Some(36), "{path}");
            assert!(!body.to_string().contains("line 1") && !body.to_string().contains("10.0.0.3"), "{body}");
        }
    }
}
