//! Bodies, read whole within bounds of size and time. Forms and JSON are read from them.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::{HttpMessage as _, HttpRequest};
use futures_util::StreamExt as _;

use super::problem::Problem;

/// Bytes of a body, whether its length was declared or not.
pub const MAX_BODY: usize = 64 * 1024;
/// For the whole body, or a sender of one byte a second would hold a connection for ever.
const DEADLINE: Duration = Duration::from_secs(15);

/// Refuses what is declared to be too long before any of it is read.
pub fn check_length(request: &HttpRequest) -> Result<(), Problem> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > MAX_BODY) { Err(too_large()) } else { Ok(()) }
}

/// Whether the body is sent as it is: `identity` is no compression.
pub fn is_plain(request: &HttpRequest) -> bool {
    request.headers().get_all(CONTENT_ENCODING).all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// In which bytes the text of a body is said to be written.
#[derive(Clone, Copy)]
pub enum Charset {
    Utf8,
    /// Another in which ASCII is the same: what many clients name without writing anything else.
    LikeAscii,
    Other,
}

impl Charset {
    /// That of `Content-Type`; UTF-8 where it names none.
    pub fn of(request: &HttpRequest) -> Self {
        match request.encoding() {
            Ok(encoding) if encoding.name() == "UTF-8" => Self::Utf8,
            Ok(encoding) if encoding.is_ascii_compatible() => Self::LikeAscii,
            _ => Self::Other,
        }
    }

    /// Whether the body can be read as UTF-8.
    pub fn is_utf8(self, body: &[u8]) -> bool {
        match self {
            Self::Utf8 => true,
            Self::LikeAscii => body.is_ascii(),
            Self::Other => false,
        }
    }
}

/// At most [`MAX_BODY`] bytes, complete within [`DEADLINE`].
pub async fn read(payload: Payload) -> Result<Vec<u8>, Problem> {
    read_within(payload, DEADLINE).await
}

async fn read_within(mut payload: Payload, deadline: Duration) -> Result<Vec<u8>, Problem> {
    let whole = async {
        let mut body = Vec::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Problem::bad_request("What was sent did not arrive in one piece."))?;
            if body.len() + chunk.len() > MAX_BODY {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    };
    tokio::time::timeout(deadline, whole).await.unwrap_or_else(|_| {
        let detail = "What was sent took too long to arrive. Try again.";
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail))
    })
}

fn too_large() -> Problem {
    let detail = format!("A request may have {} KiB. Send less.", MAX_BODY / 1024);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
}

#[cfg(test)]
mod tests {
    use actix_web::web::Bytes;

    use super::*;

    #[actix_web::test]
    async fn a_body_without_a_declared_length_is_cut_off_at_the_same_size() {
        let chunks = futures_util::stream::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 1024])));
        let endless: Payload = Payload::Stream { payload: Box::pin(chunks) };
        let problem = read(endless).await.unwrap_err();
        assert_eq!(problem.status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[actix_web::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let stalled: Payload = Payload::Stream { payload: Box::pin(futures_util::stream::pending()) };
        let problem = read_within(stalled, Duration::ZERO).await.unwrap_err();
        assert_eq!(problem.status, StatusCode::REQUEST_TIMEOUT);
    }
}
