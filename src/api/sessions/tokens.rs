//! `/api/v1/auth/refresh` and `/api/v1/auth/logout`; the token body, and the cookie in which a browser application keeps
//! its refresh token.

use actix_web::cookie::time::Duration;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::{Answer, own_account, own_shape, texts};
use crate::domain::{Error, Event, SessionId, UserId};
use crate::http::bearer::MaybeApiUser;
use crate::http::client_address::ClientInfo;
use crate::http::cookies::OurCookie;
use crate::http::cors;
use crate::http::json::OptionalJson;
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::representations::UserShape;
use crate::services::Services;
use crate::services::sessions::own;
use crate::services::sessions::tokens::{self, IssuedTokens};

/// What a program gets when it signs in or refreshes.
#[derive(Serialize, ToSchema)]
pub struct TokenBody {
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// `Bearer`.
    #[schema(pattern = "^Bearer$")]
    token_type: &'static str,
    /// Seconds until the access token is no longer good.
    expires_in: i64,
    /// New at each refresh; null where it is in the cookie.
    #[schema(required)]
    refresh_token: Option<String>,
    /// Seconds until the session ends, unless the refresh token is used before.
    refresh_expires_in: i64,
    /// The session of both tokens.
    session_id: SessionId,
    /// The account as it is now.
    user: UserShape,
}

/// Where the refresh token goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Body,
    Cookie,
}

/// The answer to a sign-in or a refresh.
pub async fn answer(
    services: &Services,
    request: &HttpRequest,
    mut response: HttpResponseBuilder,
    issued: &IssuedTokens,
    delivery: Delivery,
) -> Answer {
    let user = own_shape(services, &*own_account(services, issued.user.id).await?);
    let refresh_token = issued.refresh_token.expose_secret();
    if delivery == Delivery::Cookie {
        let mut cookie = OurCookie::Refresh.with_value(refresh_token.to_owned(), &Site::of(request).cookies);
        cookie.set_max_age(Duration::seconds(issued.refresh_expires_in));
        response.cookie(cookie);
    }
    Ok(response.json(TokenBody {
        access_token: issued.access.token.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_in: issued.access.expires_in,
        refresh_token: (delivery == Delivery::Body).then(|| refresh_token.to_owned()),
        refresh_expires_in: issued.refresh_expires_in,
        session_id: issued.session_id,
        user,
    }))
}

/// The refresh token of the cookie, if there is one; where another site may have made the browser send it, it is 403.
pub fn from_cookie(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let site = Site::of(request);
    let Some(cookie) = request.cookie(OurCookie::Refresh.name(&site.cookies)) else { return Ok(None) };
    cors::check_origin(request.headers(), site)?;
    Ok(Some(cookie.value().to_owned()))
}

/// Makes the browser forget the cookie.
pub fn forget_cookie(request: &HttpRequest, response: &mut HttpResponseBuilder) {
    response.cookie(OurCookie::Refresh.removal(&Site::of(request).cookies));
}

/// A refresh token, unless it is in the cookie.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshBody {
    /// The latest that the session was given.
    #[schema(value_type = Option<texts::Token>)]
    refresh_token: Option<String>,
}

/// `POST /api/v1/auth/refresh`. The token of the body goes before that of the cookie.
#[utoipa::path(
    post, path = "/api/v1/auth/refresh", tag = "auth", operation_id = "refresh_tokens", summary = "Get new tokens for a refresh token",
    request_body = RefreshBody,
    responses(
        (status = 200, description = "New tokens of the same session", body = TokenBody),
        (status = 401, description = "`invalid_refresh_token`"),
        (status = 403, description = "`forged_request`: the cookie came from an origin that isn’t allowed"),
    ),
    security((), ("refresh_cookie" = []))
)]
pub async fn refresh(
    request: HttpRequest,
    services: web::Data<Services>,
    ClientInfo(client): ClientInfo,
    OptionalJson(body): OptionalJson<RefreshBody>,
) -> Answer {
    let (token, delivery) = match body.refresh_token {
        Some(token) => (Some(token), Delivery::Body),
        None => (from_cookie(&request)?, Delivery::Cookie),
    };
    let token = token.ok_or(Error::InvalidRefreshToken)?;
    let issued = tokens::refresh(&services, &token, &client).await?;
    answer(&services, &request, HttpResponse::Ok(), &issued, delivery).await
}

/// `POST /api/v1/auth/logout`. Whoever has any of its tokens may end a session; with those of two sessions, both end.
#[utoipa::path(
    post, path = "/api/v1/auth/logout", tag = "auth", operation_id = "log_out", summary = "Sign out: the session and all its tokens end",
    request_body = RefreshBody,
    responses(
        (status = 204, description = "The session has ended"),
        (status = 401, description = "`invalid_refresh_token`, `invalid_token`, `not_signed_in`"),
        (status = 403, description = "`forged_request`: the cookie came from an origin that isn’t allowed"),
    ),
    security(("bearer" = []), (), ("refresh_cookie" = []))
)]
pub async fn logout(
    request: HttpRequest,
    services: web::Data<Services>,
    bearer: Result<MaybeApiUser, Problem>,
    ClientInfo(client): ClientInfo,
    OptionalJson(body): OptionalJson<RefreshBody>,
) -> Answer {
    let mut sessions = Vec::new();
    if let Some(token) = &body.refresh_token {
        sessions.push(session_of(&services, token).await?);
    }
    // An access token may have expired before its session is signed out: only without another token does that matter.
    let refusal = match bearer {
        Ok(MaybeApiUser(Some(user))) => {
            sessions.push((user.session.user_id, user.session.id));
            None
        }
        Ok(MaybeApiUser(None)) => None,
        Err(problem) => Some(problem),
    };
    let mut response = HttpResponse::NoContent();
    match from_cookie(&request) {
        Ok(Some(token)) => {
            if sessions.is_empty() {
                sessions.push(session_of(&services, &token).await?);
            }
            forget_cookie(&request, &mut response);
        }
        Err(forged) if sessions.is_empty() => return Err(forged),
        Ok(None) | Err(_) => {}
    }
    if sessions.is_empty() {
        return Err(refusal.unwrap_or_else(Problem::no_token));
    }
    sessions.dedup();
    for (user, session) in sessions {
        own::end_by_itself(&services, user, session, Event::SignOut, &client).await?;
    }
    Ok(response.finish())
}

async fn session_of(services: &Services, token: &str) -> Result<(UserId, SessionId), Problem> {
    let found = tokens::inspect(services, token).await?.ok_or(Error::InvalidRefreshToken)?;
    Ok((found.user_id, found.session_id))
}
