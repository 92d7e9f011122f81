//! What is logged of a request: its span, which stands on each line of it, and the line that says how it ended.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage as _, HttpRequest};
use tracing::Span;
use tracing_actix_web::{RootSpanBuilder, TracingLogger};

use super::client_address::client_address;
use super::{request_id, site};

/// The outermost middleware: makes the id (UUIDv7; what a client sends is never taken) and the span.
pub fn logger() -> TracingLogger<RequestSpan> {
    TracingLogger::new()
}

/// What a request's span says: the address as [`client_address`] determined it, no query, no header, no one-time link.
pub struct RequestSpan;

/// When the request came, for the time that it took.
struct Start(std::time::Instant);

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        request.extensions_mut().insert(Start(std::time::Instant::now()));
        let http = request.request();
        // Of the highest level, so that it is there whatever `log_level` says.
        tracing::error_span!(
            "request",
            request_id = request_id::of(http).map(tracing::field::display),
            method = %request.method(),
            path = shown_path(http),
            client = %client_address(http),
        )
    }

    fn on_request_end<B: MessageBody>(_: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        match outcome {
            Ok(response) => {
                let start = response.request().extensions().get::<Start>().map(|start| start.0);
                let millis = start.and_then(|start| u64::try_from(start.elapsed().as_millis()).ok());
                tracing::info!(status = response.status().as_u16(), millis, "answered");
            }
            Err(error) => tracing::error!(%error, "a middleware failed"),
        }
    }
}

/// Bytes of a path that are worth logging.
const MAX_PATH: usize = 200;

/// The path without its query; of a one-time link no more than the first part.
fn shown_path(request: &HttpRequest) -> &str {
    let path = request.path();
    if site::has_secret_path(request) {
        return path.get(1..).and_then(|rest| rest.find('/')).map_or("/", |end| &path[..=end]);
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
            ("/account?token=SECRET", "/account"),
            ("/", "/"),
            ("/setup", "/setup"),
        ] {
            assert_eq!(shown_path(&TestRequest::get().uri(uri).to_http_request()), shown);
        }
    }
}
