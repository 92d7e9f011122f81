//! `/oauth`: what libraries for OAuth 2.0 know how to use. Forms in, JSON out, errors as RFC 6749, 5.2.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{PRAGMA, RETRY_AFTER};
use actix_web::{HttpResponse, web};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::texts;
use crate::domain::access_token::CLIENT_ID;
use crate::domain::{Error, Event, Role, SessionId, UserId};
use crate::http::client_address::ClientInfo;
use crate::http::forms::GuestForm;
use crate::http::problem::Problem;
use crate::services::Services;
use crate::services::sessions::{access_tokens, own, tokens};

/// An error of RFC 6749.
#[derive(Debug, Serialize, ToSchema)]
pub struct OAuthError {
    /// Stable, for programs.
    error: &'static str,
    /// For people.
    error_description: String,
    #[serde(skip)]
    status: StatusCode,
    /// Seconds.
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl OAuthError {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        let error_description = description.into();
        Self { error, error_description, status: StatusCode::BAD_REQUEST, retry_after: None }
    }
}

impl std::fmt::Display for OAuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.error)
    }
}

impl actix_web::ResponseError for OAuthError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        response.json(self)
    }
}

/// A form that can't be read, or a store that doesn't answer.
impl From<Problem> for OAuthError {
    fn from(problem: Problem) -> Self {
        let (error, status) = match problem.status {
            StatusCode::SERVICE_UNAVAILABLE => ("temporarily_unavailable", problem.status),
            status if status.is_server_error() => ("server_error", status),
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => ("invalid_request", problem.status),
            _ => ("invalid_request", StatusCode::BAD_REQUEST),
        };
        Self { error, error_description: problem.detail, status, retry_after: problem.retry_after }
    }
}

impl From<Error> for OAuthError {
    fn from(error: Error) -> Self {
        Problem::from(error).into()
    }
}

type Answer = Result<HttpResponse, OAuthError>;

/// A form. Parameters that nobody asked for are ignored, those without a value are as if left out (RFC 6749, 3.2).
type Form<T> = Result<GuestForm<T>, Problem>;

fn required(value: Option<String>, name: &str) -> Result<String, OAuthError> {
    let given = value.filter(|value| !value.is_empty());
    given.ok_or_else(|| OAuthError::new("invalid_request", format!("The parameter “{name}” is missing.")))
}

/// What is asked of `/oauth/token`.
#[derive(Deserialize, ToSchema)]
pub struct TokenForm {
    /// `refresh_token`: the one that there is.
    #[schema(value_type = texts::GrantType, required)]
    grant_type: Option<String>,
    /// The latest that the session was given.
    #[schema(value_type = texts::Token, required)]
    refresh_token: Option<String>,
}

/// RFC 6749, 5.1.
#[derive(Serialize, ToSchema)]
pub struct OAuthTokens {
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// `Bearer`.
    #[schema(pattern = "^Bearer$")]
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    /// The next one, in place of that which was sent.
    refresh_token: String,
}

/// `POST /oauth/token` (RFC 6749, section 6).
#[utoipa::path(
    post, path = "/oauth/token", tag = "oauth", operation_id = "issue_oauth_tokens", summary = "Get new tokens for a refresh token",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "New tokens of the same session", body = OAuthTokens),
        (status = 400, description = "`invalid_request`, `invalid_grant`, `unsupported_grant_type`"),
    ),
    security(())
)]
pub async fn token(services: web::Data<Services>, ClientInfo(client): ClientInfo, form: Form<TokenForm>) -> Answer {
    let GuestForm(form) = form?;
    if required(form.grant_type, "grant_type")? != texts::GRANT_TYPE {
        return Err(OAuthError::new("unsupported_grant_type", "The one grant_type here is refresh_token."));
    }
    let refresh_token = required(form.refresh_token, "refresh_token")?;
    let issued = tokens::refresh(&services, &refresh_token, &client).await.map_err(|error| match error {
        Error::InvalidRefreshToken => {
            OAuthError::new("invalid_grant", "The refresh token is not good, or no longer. Sign in again.")
        }
        other => other.into(),
    })?;
    Ok(HttpResponse::Ok().insert_header((PRAGMA, "no-cache")).json(OAuthTokens {
        access_token: issued.access.token.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_in: issued.access.expires_in,
        refresh_token: issued.refresh_token.expose_secret().to_owned(),
    }))
}

/// A token, of either kind: which one, it says itself.
#[derive(Deserialize, ToSchema)]
pub struct SomeToken {
    /// An access token or a refresh token.
    #[schema(value_type = texts::Token, required)]
    token: Option<String>,
    /// Not needed.
    #[schema(value_type = texts::Text, required = false)]
    #[expect(dead_code, reason = "RFC 7009 lets a server do without it")]
    token_type_hint: Option<String>,
}

/// `POST /oauth/revoke` (RFC 7009). Whether the token was any good is not told.
#[utoipa::path(
    post, path = "/oauth/revoke", tag = "oauth", operation_id = "revoke_oauth_token", summary = "End the session of a token",
    request_body(content = SomeToken, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is not good any more, or never was"),
        (status = 400, description = "`invalid_request`"),
    ),
    security(())
)]
pub async fn revoke(services: web::Data<Services>, ClientInfo(client): ClientInfo, form: Form<SomeToken>) -> Answer {
    let GuestForm(form) = form?;
    let token = required(form.token, "token")?;
    if let Some((user, session)) = session_of(&services, &token).await? {
        own::end_by_itself(&services, user, session, Event::TokenRevoked, &client).await?;
    }
    Ok(HttpResponse::Ok().finish())
}

async fn session_of(services: &Services, token: &str) -> Result<Option<(UserId, SessionId)>, Error> {
    if let Some(found) = tokens::inspect(services, token).await? {
        return Ok(Some((found.user_id, found.session_id)));
    }
    access_tokens::session_of(services, token).await
}

/// RFC 7662. Of a token that is not good, nothing but that is told.
#[derive(Default, Serialize, ToSchema)]
pub struct Introspection {
    /// Whether it is good now: ours, not expired, and of a live session.
    active: bool,
    /// `Bearer` for an access token, `refresh_token` for the other kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_type: Option<&'static str>,
    /// Who issued it: this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iss: Option<String>,
    /// The id of its account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sub: Option<UserId>,
    /// For whom it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    aud: Option<String>,
    /// For whom the token was issued: `portcullis`, for all who sign in with this server itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// Until when it is good, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<i64>,
    /// When it was issued, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iat: Option<i64>,
    /// From when on it is good, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    nbf: Option<i64>,
    /// Its own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    jti: Option<String>,
    /// The id of its session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sid: Option<SessionId>,
    /// The present one, whatever the token says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    role: Option<Role>,
    /// The name that its account has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    username: Option<String>,
}

/// `POST /oauth/introspect` (RFC 7662).
#[utoipa::path(
    post, path = "/oauth/introspect", tag = "oauth", operation_id = "introspect_oauth_token", summary = "Ask whether a token is good now",
    request_body(content = SomeToken, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What is known of the token; only `active` where it is not good", body = Introspection),
        (status = 400, description = "`invalid_request`"),
    ),
    security(("bearer" = []))
)]
pub async fn introspect(services: web::Data<Services>, form: Form<SomeToken>) -> Answer {
    let GuestForm(form) = form?;
    let token = required(form.token, "token")?;
    Ok(HttpResponse::Ok().json(inspect(&services, &token).await?))
}

async fn inspect(services: &Services, token: &str) -> Result<Introspection, Error> {
    if let Some(found) = tokens::inspect(services, token).await? {
        let active = found.current && services.clock.now() < found.expires_at;
        if !active {
            return Ok(Introspection::default());
        }
        return Ok(Introspection {
            active,
            token_type: Some("refresh_token"),
            iss: Some(services.settings.public_url.as_str().to_owned()),
            sub: Some(found.user_id),
            client_id: Some(CLIENT_ID.to_owned()),
            exp: Some(found.expires_at.timestamp()),
            sid: Some(found.session_id),
            ..Introspection::default()
        });
    }
    let bearer = match access_tokens::authenticate(services, token).await {
        Ok(bearer) => bearer,
        Err(Error::InvalidToken) => return Ok(Introspection::default()),
        Err(other) => return Err(other),
    };
    let claims = Arc::unwrap_or_clone(bearer.claims);
    Ok(Introspection {
        active: true,
        token_type: Some("Bearer"),
        iss: Some(claims.iss),
        sub: Some(bearer.session.user_id),
        aud: Some(claims.aud),
        client_id: Some(claims.client_id),
        exp: Some(claims.exp),
        iat: Some(claims.iat),
        nbf: Some(claims.nbf),
        jti: Some(claims.jti),
        sid: Some(bearer.session.id),
        role: Some(bearer.session.role),
        username: Some(claims.preferred_username),
    })
}
