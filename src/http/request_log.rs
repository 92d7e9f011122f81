//! What is logged of a request: on each line which request it belongs to, and a line that says how it ended. How it ended is
//! [counted](super::request_metrics) too.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest};

use super::client_address::client_address;
use super::request_metrics::Requests;
use super::{request_id, site};
use crate::telemetry::Request;

/// The outermost middleware: makes the id, and logs the answer. No query is logged, no header, no one-time link.
///
/// # Errors
/// Those of what is inside.
pub async fn log<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let start = Instant::now();
    let http = request.request();
    let about = Request {
        id: request_id::make(http),
        method: http.method().to_string(),
        path: shown_path(http).to_owned(),
        client: client_address(http),
    };
    about
        .scope(async move {
            let outcome = next.call(request).await;
            match &outcome {
                Ok(response) => {
                    let took = start.elapsed();
                    Requests::count(response, took);
                    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(status = response.status().as_u16(), millis, "answered");
                }
                Err(error) => tracing::error!(%error, "a middleware failed"),
            }
            outcome
        })
        .await
}

/// Bytes of a path that are worth logging.
const MAX_PATH: usize = 200;

/// The path without its query; of a one-time link no more than the first part, however its end is written.
fn shown_path(request: &HttpRequest) -> &str {
    let path = request.path();
    if site::has_secret_path(request) {
        let rest = path.get(1..).unwrap_or_default().to_ascii_lowercase();
        let end = [rest.find('/'), rest.find("%2f")].into_iter().flatten().min();
        return end.map_or("/", |end| &path[..=end]);
    }
    &path[..path.floor_char_boundary(MAX_PATH)]
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn one_time_links_and_queries_are_not_shown() {
        for (uri, shown) in [
            ("/setup/SECRET", "/setup"),
            ("/reset/SECRET?x=1", "/reset"),
            ("/%73etup/SECRET", "/%73etup"),
            ("/reset%2fSECRET/", "/reset"),
            ("/x%2Freset%2FSECRET/y", "/x"),
            ("/account?token=SECRET", "/account"),
            ("/", "/"),
            ("/setup", "/setup"),
        ] {
            assert_eq!(shown_path(&TestRequest::get().uri(uri).to_http_request()), shown);
        }
    }
}
