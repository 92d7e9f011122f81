//! JSON as an extractor: size, time, type and encoding are checked here, the rest by [`crate::domain::json`].
//!
//! What is not JSON is 400 (415 where it doesn't say that it is JSON); a field that is missing, unknown or of the wrong
//! type is 422.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::body::{self, Charset};
use super::problem::Problem;
use crate::domain::Error;
use crate::domain::json::{self, Unreadable};

/// A JSON object. `T` has `#[serde(deny_unknown_fields)]`.
pub struct Json<T>(pub T);

/// The same where the whole body may be left out: then `T` is its default.
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let head = check_type(request).and_then(|()| body::check_length(request));
        let (charset, payload) = (Charset::of(request), payload.take());
        Box::pin(async move {
            head?;
            parse(&body::read(payload).await?, charset).map(Self)
        })
    }
}

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJson<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (length, media_type) = (body::check_length(request), check_type(request));
        let (charset, payload) = (Charset::of(request), payload.take());
        Box::pin(async move {
            length?;
            let body = body::read(payload).await?;
            if body.is_empty() {
                return Ok(Self(T::default()));
            }
            media_type?;
            parse(&body, charset).map(Self)
        })
    }
}

fn check_type(request: &HttpRequest) -> Result<(), Problem> {
    let is_json = request.content_type().eq_ignore_ascii_case("application/json");
    if is_json && body::is_plain(request) { Ok(()) } else { Err(wrong_type()) }
}

fn wrong_type() -> Problem {
    let detail = "Send JSON: Content-Type: application/json, in UTF-8, not compressed.";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

fn parse<T: DeserializeOwned>(body: &[u8], charset: Charset) -> Result<T, Problem> {
    if !charset.is_utf8(body) {
        return Err(wrong_type());
    }
    let value = json::read(body).map_err(|unreadable| {
        Problem::bad_request(match unreadable {
            Unreadable::NotJson => "This is not JSON.".to_owned(),
            Unreadable::Repeated(name) => format!("The field “{name}” came twice."),
        })
    })?;
    json::structured(value).map_err(|error| Error::Invalid(error.into()).into())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::CONTENT_TYPE;
    use actix_web::test::TestRequest;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Login {
        username: String,
        device_name: Option<String>,
        #[serde(default)]
        refresh_cookie: bool,
        #[serde(default)]
        ids: Vec<String>,
    }

    fn refusal(body: &[u8]) -> (u16, String, String) {
        let problem = parse::<Login>(body, Charset::Utf8).expect_err("refused");
        let named = problem.errors.iter().next().map(|error| format!("{} {}", error.field, error.code));
        (problem.status.as_u16(), named.unwrap_or_default(), problem.detail)
    }

    #[test]
    fn fields_are_read_and_those_left_out_or_null_are_none() {
        for body in [r#"{"username":"ann"}"#, r#" {"username":"\u0061nn","device_name":null} "#] {
            let expected = Login { username: "ann".into(), ..Login::default() };
            assert_eq!(parse::<Login>(body.as_bytes(), Charset::Utf8).unwrap(), expected);
        }
        let full = br#"{"ids":["a","b"],"refresh_cookie":true,"device_name":"x","username":"a"}"#;
        let expected = Login {
            username: "a".into(),
            device_name: Some("x".into()),
            refresh_cookie: true,
            ids: vec!["a".into(), "b".into()],
        };
        assert_eq!(parse::<Login>(full, Charset::Utf8).unwrap(), expected);
    }

    #[test]
    fn a_field_that_is_missing_unknown_or_of_the_wrong_type_is_named() {
        for (body, named) in [
            ("{}", "username required"),
            (r#"{"username":"a","role":"admin"}"#, "role unknown_field"),
            (r#"{"username":1}"#, "username wrong_type"),
            (r#"{"username":null}"#, "username wrong_type"),
            (r#"{"username":["a"]}"#, "username wrong_type"),
            (r#"{"username":{"$ne":""}}"#, "username wrong_type"),
            (r#"{"username":"a","device_name":7}"#, "device_name wrong_type"),
            (r#"{"username":"a","refresh_cookie":"true"}"#, "refresh_cookie wrong_type"),
            (r#"{"username":"a","refresh_cookie":1}"#, "refresh_cookie wrong_type"),
            (r#"{"username":"a","ids":[1]}"#, "ids wrong_type"),
            (r#"{"username":"a\u0000"}"#, "username invalid"),
            ("[]", " wrong_type"),
            ("\"a\"", " wrong_type"),
            ("null", " wrong_type"),
        ] {
            let (status, found, _) = refusal(body.as_bytes());
            assert_eq!((status, found.as_str()), (422, named), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_and_a_name_that_comes_twice_is_400_without_the_words_of_a_library() {
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        for body in [
            &b""[..],
            b"{",
            b"{'username':'a'}",
            br#"{"username":"a"} x"#,
            br#"{"username":"a",}"#,
            b"\xef\xbb\xbf{}",
            b"{\"username\":\"\xff\"}",
            br#"{"username":"\ud800"}"#,
            br#"{"username":1e999}"#,
            b"NaN",
            deep.as_bytes(),
        ] {
            let (status, named, detail) = refusal(body);
            assert_eq!((status, named.as_str(), detail.as_str()), (400, "", "This is not JSON."));
        }
        for body in [r#"{"username":"a","username":"b"}"#, r#"{"username":"a","user\u006eame":"b"}"#] {
            assert_eq!(refusal(body.as_bytes()).2, "The field “username” came twice.");
        }
    }

    async fn sent(content_type: &str, body: &'static str) -> (u16, u16) {
        let (request, mut payload) =
            TestRequest::post().insert_header((CONTENT_TYPE, content_type)).set_payload(body).to_http_parts();
        let strict =
            Json::<Login>::from_request(&request, &mut payload).await.map_or_else(|p| p.status.as_u16(), |_| 200);
        let (request, mut payload) =
            TestRequest::post().insert_header((CONTENT_TYPE, content_type)).set_payload(body).to_http_parts();
        let optional = OptionalJson::<Login>::from_request(&request, &mut payload)
            .await
            .map_or_else(|p| p.status.as_u16(), |_| 200);
        (strict, optional)
    }

    #[actix_web::test]
    async fn only_json_is_taken_and_an_optional_body_may_be_empty() {
        for (content_type, expected) in [
            ("application/json", 200),
            ("Application/JSON; charset=UTF-8", 200),
            ("application/json; charset=utf-16", 415),
            ("application/x-www-form-urlencoded", 415),
            ("text/plain", 415),
            ("application/jsonp", 415),
            ("", 415),
        ] {
            assert_eq!(sent(content_type, r#"{"username":"a"}"#).await, (expected, expected), "{content_type}");
        }
        assert_eq!(sent("text/plain", "").await, (415, 200));
        assert_eq!(sent("application/json", "").await, (400, 200));
    }
}
