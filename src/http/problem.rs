//! Errors as RFC 9457 problems.

mod middleware;
mod of_error;

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::middleware::{render, take};
use super::accept::wishes;
use crate::domain::FieldErrors;
use crate::domain::quota::wait_in_words;

const CONTENT_TYPE_OF_PROBLEMS: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Seconds until a client may try again what a busy or broken server could not do.
const RETRY_SECONDS: u64 = 2;

/// What went wrong, as a client may know it. As an answer it carries itself in the response's extensions, so that a
/// renderer of pages can [`take`] it.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people: a sentence that says what to do.
    pub detail: String,
    /// Field by field, for 401, 409 and 422.
    pub errors: FieldErrors,
    /// Seconds, for `Retry-After`.
    pub retry_after: Option<u64>,
    /// For `WWW-Authenticate`: how a program could be let in (RFC 6750, section 3).
    pub challenge: Option<&'static str>,
}

impl Problem {
    /// The challenge to a request without a token.
    pub const BEARER: &str = "Bearer";

    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: FieldErrors::default(), retry_after: None, challenge: None }
    }

    /// 400: the request can't be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 401: nobody is signed in.
    pub fn not_signed_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_signed_in", "Sign in first.")
    }

    /// 401: a program did not say who it is.
    pub fn no_token() -> Self {
        let detail = "Send an access token: Authorization: Bearer ….";
        Self { detail: detail.to_owned(), ..Self::not_signed_in() }.challenge(Self::BEARER)
    }

    /// 401: the access token is malformed, expired, not ours, or its session has ended.
    pub fn invalid_token() -> Self {
        let detail = "The access token is not good, or no longer. Refresh it, or sign in again.";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_token", detail).challenge(r#"Bearer error="invalid_token""#)
    }

    /// 400: a request whose access token can't be known.
    pub fn invalid_request(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail).challenge(r#"Bearer error="invalid_request""#)
    }

    /// 403: another site made the browser send this.
    pub fn forged() -> Self {
        let detail = "This request did not come from the page that it should. Go back, load the page again and retry.";
        Self::new(StatusCode::FORBIDDEN, "forged_request", detail)
    }

    /// 403: the role does not reach.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Your role does not allow this.")
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.")
    }

    /// 429: too many passwords were tried, under a name or from an address.
    pub fn too_many_attempts(seconds: u64) -> Self {
        Self::too_many("too_many_attempts", "attempts", seconds)
    }

    /// 429: too many calls of the API.
    pub fn too_many_requests(seconds: u64) -> Self {
        Self::too_many("too_many_requests", "requests", seconds)
    }

    fn too_many(code: &'static str, what: &str, seconds: u64) -> Self {
        let detail = format!("Too many {what}. Try again in {}.", wait_in_words(seconds));
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).retry_after(seconds)
    }

    /// 503: a store did not answer.
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Something is out of order. Try again in a moment.")
            .retry_after(RETRY_SECONDS)
    }

    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub fn challenge(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    fn with_errors(self, errors: FieldErrors) -> Self {
        Self { errors, ..self }
    }

    /// The name of the status, which is what RFC 9457 asks for with the type `about:blank`.
    pub fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    /// The body of `application/problem+json`.
    pub fn to_json(&self, request_id: Option<Uuid>) -> String {
        let errors = self.errors.iter().map(|error| FieldErrorBody {
            field: error.field.clone(),
            code: error.code,
            message: error.message.clone(),
        });
        let body = ProblemBody {
            kind: "about:blank",
            title: self.title(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code,
            request_id: request_id.map(|id| id.to_string()),
            errors: errors.collect(),
        };
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// For an error answer of actix-web itself, which says no more than its status.
    fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => return Self::not_found(),
            StatusCode::SERVICE_UNAVAILABLE => return Self::unavailable(),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "This address does not take such a request."),
            StatusCode::PAYLOAD_TOO_LARGE => ("payload_too_large", "That was too much. Send less."),
            status if status.is_server_error() => return Self::internal(),
            _ => ("bad_request", "The request could not be read."),
        };
        Self::new(status, code, detail)
    }

    fn internal() -> Self {
        let detail = "Something went wrong here. Tell your administrator the request id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
    }
}

/// What went wrong (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `about:blank`: the status says what kind of problem it is, and `code` says more.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name of the status.
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// For people: a sentence that says what to do.
    detail: String,
    /// Stable, for programs.
    code: &'static str,
    /// By which the log knows this request.
    #[schema(required)]
    request_id: Option<String>,
    /// Field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldErrorBody>,
}

/// What is wrong with one field.
#[derive(Serialize, ToSchema)]
#[schema(as = FieldError)]
pub struct FieldErrorBody {
    /// Its name in the request.
    field: Cow<'static, str>,
    /// Stable, for programs.
    code: &'static str,
    /// For people: a sentence that says what to do.
    message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.code)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(challenge) = self.challenge {
            response.insert_header((WWW_AUTHENTICATE, challenge));
        }
        if matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE) {
            // The rest of the body is not waited for.
            response.force_close();
        }
        let mut response = response.insert_header((CONTENT_TYPE, CONTENT_TYPE_OF_PROBLEMS)).body(self.to_json(None));
        response.extensions_mut().insert(self.clone());
        response
    }
}

/// Whether the caller is a program, who gets JSON where a person would get a page.
pub fn wants_json(request: &HttpRequest) -> bool {
    let path = request.match_info().as_str();
    if ["/api/", "/oauth/", "/.well-known/"].iter().any(|prefix| path.starts_with(prefix)) {
        return true;
    }
    let Some(wishes) = wishes(request.headers().get_all(ACCEPT)) else { return false };
    let weight = |names: &[&str]| {
        let media_type = |name: &str| name.split(';').next().unwrap_or_default().trim_end().to_ascii_lowercase();
        let named = wishes.iter().filter(|(name, _)| names.contains(&media_type(name).as_str()));
        named.map(|(_, weight)| *weight).max().unwrap_or(0)
    };
    weight(&["application/json", "application/problem+json"]) > weight(&["text/html"])
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn json_is_for_those_who_ask_for_it_and_for_programs() {
        for (path, accept, expected) in [
            ("/account", "", false),
            ("/account", "*/*", false),
            ("/account", "text/html,application/xhtml+xml,application/json;q=0.9", false),
            ("/account", "application/json", true),
            ("/account", "application/json, text/html", false),
            ("/account", "application/json, text/html;q=0.9", true),
            ("/account", "application/json; charset=utf-8; q=0.2, text/html;q=0.1", true),
            ("/account", "application/json;q=0, */*", false),
            ("/account", "application/json;q=much", false),
            ("/account", "text/plain, Application/Problem+JSON; q=0.5", true),
            ("/api/v1/me", "text/html", true),
            ("/apiary", "", false),
        ] {
            let request = TestRequest::get().uri(path).insert_header((ACCEPT, accept)).to_http_request();
            assert_eq!(wants_json(&request), expected, "{path} {accept}");
        }
    }
}
