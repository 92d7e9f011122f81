//! Forms as extractors: size, time, encoding and forgery are checked here, so that no handler can forget it.

use std::future::Future;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::USER_AGENT;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::body::{self, Charset};
use super::cookie_session;
use super::csrf::{self, TOKEN_FIELD};
use super::fields::{Fields, Repeated};
use super::problem::{Problem, wants_json};
use super::site::Site;
use crate::domain::audit::Client;
use crate::domain::form_seed::{FormId, FormSeed, SentForm};
use crate::domain::keys::SecretHash;

/// A form of a signed-in person: where the request has a session, it must carry the session's `csrf_token`.
/// `T`'s fields are strings, with `#[serde(default)]` where a form may leave them out.
pub struct Form<T>(pub Sent<T>);

/// What a form of our own pages says, and whether it may be believed.
pub enum Sent<T> {
    Good(T),
    /// Without the token of the present session, most often because its page is older than the sign-in. Nothing is done:
    /// the form is shown again with what was typed, to be looked at. That is safe where [`csrf::same_origin`] has seen
    /// that no other site wrote it.
    Stale(T),
}

impl<T> Sent<T> {
    pub(super) fn and_then<U>(self, read: impl FnOnce(T) -> Result<U, Problem>) -> Result<Sent<U>, Problem> {
        Ok(match self {
            Self::Good(form) => Sent::Good(read(form)?),
            Self::Stale(form) => Sent::Stale(read(form)?),
        })
    }
}

/// A form of a guest page, such as sign-in. It carries no token: a page that was loaded as a guest may well be sent
/// after a sign-in in another tab. [`csrf::same_origin`] guards it.
pub struct GuestForm<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let fields = read_own_fields(request, payload, Repeated::Refused);
        Box::pin(async move { fields.await?.and_then(Fields::into).map(Self) })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for GuestForm<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let fields = read_fields(request, payload, Repeated::Refused);
        Box::pin(async move { fields.await?.into().map(Self) })
    }
}

/// The same as [`read_fields`], with the token of the session, if there is one. A program that is wrong about it is told so.
pub(super) fn read_own_fields(
    request: &HttpRequest,
    payload: &mut Payload,
    repeated: Repeated,
) -> impl Future<Output = Result<Sent<Fields>, Problem>> + 'static + use<> {
    let expected = cookie_session::cookie_session(request).map(|session| session.csrf_token);
    let is_program = wants_json(request);
    let fields = read_fields(request, payload, repeated);
    async move {
        let mut fields = fields.await?;
        let sent = fields.take(TOKEN_FIELD);
        match expected {
            Some(expected) if !csrf::is_token(&expected, sent.as_deref()) => {
                if is_program {
                    Err(Problem::forged())
                } else {
                    Ok(Sent::Stale(fields))
                }
            }
            _ => Ok(Sent::Good(fields)),
        }
    }
}

/// The form field that holds its one-time token.
const ID_FIELD: &str = "form_id";

/// The client, with the form that was read from its request: for services that are to know it when it comes again.
pub fn sender(request: &HttpRequest, client: Client) -> Client {
    Client { form: request.extensions().get().cloned(), ..client }
}

/// `None` for a form without an id.
pub(super) fn seed_of(
    request: &HttpRequest,
    presented: Option<SecretHash>,
    fields: &mut Fields,
    body: &[u8],
) -> Option<FormSeed> {
    FormId::parse(&fields.take(ID_FIELD)?)?;
    let user_agent = request.headers().get(USER_AGENT).map(|value| value.as_bytes()).unwrap_or_default();
    let form = SentForm { path: request.path(), body, user_agent, presented };
    Some(FormSeed::of(&Site::of(request).form_key, &form))
}

/// The fields of the body, which must be a form within the bounds of [`body::read`]. Leaves the form's seed for [`sender`].
fn read_fields(
    request: &HttpRequest,
    payload: &mut Payload,
    repeated: Repeated,
) -> impl Future<Output = Result<Fields, Problem>> + 'static + use<> {
    let head = check_head(request);
    let (charset, payload, request) = (Charset::of(request), payload.take(), request.clone());
    async move {
        head?;
        let body = body::read(payload).await?;
        if !charset.is_utf8(&body) {
            return Err(wrong_type());
        }
        let mut fields = Fields::parse(&body, repeated)?;
        let presented = cookie_session::cookie_session(&request).map(|session| session.secret);
        if let Some(seed) = seed_of(&request, presented, &mut fields, &body) {
            request.extensions_mut().insert(seed);
        }
        Ok(fields)
    }
}

fn check_head(request: &HttpRequest) -> Result<(), Problem> {
    let is_form = request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded");
    if is_form && body::is_plain(request) { body::check_length(request) } else { Err(wrong_type()) }
}

fn wrong_type() -> Problem {
    let detail = "Send a form: application/x-www-form-urlencoded, in UTF-8, not compressed.";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE};
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body as body_of};
    use actix_web::web::{self, Bytes};
    use actix_web::{App, HttpResponse};
    use serde::Deserialize;

    use super::*;
    use crate::domain::Role;
    use crate::http::session_store::tests::{cookie_with, live, one_session};

    #[derive(Deserialize)]
    struct Name {
        #[serde(default)]
        name: String,
    }

    async fn post(request: TestRequest) -> (u16, String) {
        let app = init_service(
            App::new()
                .wrap(from_fn(crate::http::authenticate::authenticate))
                .wrap(one_session(Some(live(Role::User))))
                .wrap(from_fn(crate::http::authenticate::carry))
                .route(
                    "/form",
                    web::post().to(|Form(sent): Form<Name>| async move {
                        match sent {
                            Sent::Good(form) => HttpResponse::Ok().body(form.name),
                            Sent::Stale(form) => HttpResponse::Forbidden().body(form.name),
                        }
                    }),
                )
                .route(
                    "/guest",
                    web::post()
                        .to(|GuestForm(form): GuestForm<Name>| async move { HttpResponse::Ok().body(form.name) }),
                ),
        )
        .await;
        let response = call_service(&app, request.to_request()).await;
        let status = response.status().as_u16();
        (status, String::from_utf8(body_of(response).await.to_vec()).unwrap())
    }

    fn form(path: &str, body: impl Into<Bytes>) -> TestRequest {
        TestRequest::post()
            .uri(path)
            .insert_header((CONTENT_TYPE, "application/x-www-form-urlencoded"))
            .set_payload(body.into())
    }

    #[actix_web::test]
    async fn a_signed_in_person_needs_the_token_of_the_session() {
        let signed_in = |path, body: &'static str| form(path, body).insert_header((COOKIE, cookie_with("live")));
        assert_eq!(post(signed_in("/form", "name=Ada&csrf_token=right-token")).await, (200, "Ada".into()));
        for body in ["name=Ada", "name=Ada&csrf_token=", "name=Ada&csrf_token=wrong-token"] {
            assert_eq!(post(signed_in("/form", body)).await, (403, "Ada".into()), "{body}");
            let program = signed_in("/form", body).insert_header((ACCEPT, "application/json"));
            let (status, answer) = post(program).await;
            assert!(status == 403 && answer.contains("forged_request"), "{body}: {answer}");
        }
        assert_eq!(post(signed_in("/form", "csrf_token=right-token&csrf_token=x")).await.0, 400);
        assert_eq!(post(signed_in("/guest", "name=Ada")).await, (200, "Ada".into()));
        assert_eq!(post(form("/form", "name=Ada")).await, (200, "Ada".into()), "a guest has no session to forge");
        let dead = form("/form", "name=Ada").insert_header((COOKIE, cookie_with("dead")));
        assert_eq!(post(dead).await.0, 200);
    }

    #[actix_web::test]
    async fn only_forms_in_utf8_are_taken() {
        for content_type in [
            "application/json",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded; charset=utf-16",
            "application/x-www-form-urlencoded; charset=nonsense",
            "",
        ] {
            let request = form("/guest", "name=Ada").insert_header((CONTENT_TYPE, content_type));
            assert_eq!(post(request).await.0, 415, "{content_type}");
        }
        let request = form("/guest", "name=Ada")
            .insert_header((CONTENT_TYPE, "Application/X-WWW-Form-URLencoded; charset=UTF-8"));
        assert_eq!(post(request).await.0, 200);
        assert_eq!(post(form("/guest", "name=Ada").insert_header((CONTENT_ENCODING, "gzip"))).await.0, 415);
        assert_eq!(post(form("/guest", "name=Ada").insert_header((CONTENT_ENCODING, "identity"))).await.0, 200);
        // What is ASCII is the same in it; what isn't has to be escaped.
        let latin = |body: &[u8]| {
            let content_type = "application/x-www-form-urlencoded; charset=ISO-8859-1";
            form("/guest", body.to_vec()).insert_header((CONTENT_TYPE, content_type))
        };
        assert_eq!(post(latin(b"name=%C3%84da")).await, (200, "Äda".to_owned()));
        assert_eq!(post(latin(b"name=\xc4da")).await.0, 415);
        assert_eq!(post(form("/guest", "name=%00")).await.0, 400);
    }

    #[actix_web::test]
    async fn a_body_that_is_too_large_is_refused_declared_or_not() {
        let fits = format!("name=Ada&rest={}&more={}", "x".repeat(16_000), "x".repeat(16_000));
        assert_eq!(post(form("/guest", fits)).await.0, 200);
        assert_eq!(post(form("/guest", "x".repeat(body::MAX_BODY + 1))).await.0, 413);
        assert_eq!(post(form("/guest", "").insert_header((CONTENT_LENGTH, "99999999"))).await.0, 413);
    }
}
