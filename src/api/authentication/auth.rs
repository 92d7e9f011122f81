//! `/api/v1/auth`: programs sign in, refresh and sign out.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::sessions::tokens::{self, Delivery, TokenBody};
use crate::api::{Answer, no_content, texts};
use crate::domain::{Error, Event, SessionId, UserId};
use crate::http::bearer::{ApiUser, MaybeApiUser};
use crate::http::client_address::ClientInfo;
use crate::http::json::{Json, OptionalJson};
use crate::http::problem::Problem;
use crate::services::Services;
use crate::services::accounts::new_account::NewAccount;
use crate::services::accounts::registration;
use crate::services::authentication::{reauthentication, sign_in};
use crate::services::sessions::{self, own};

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterBody {
    /// By which its owner signs in; nobody else’s.
    #[schema(value_type = texts::Username)]
    username: String,
    /// Nobody else’s: people sign in with it too.
    #[schema(value_type = texts::EmailAddress)]
    email: String,
    /// Long and hard to guess; which characters it is made of does not matter.
    #[schema(value_type = texts::NewPassword)]
    password: String,
    /// What the person is called.
    #[schema(value_type = Option<texts::DisplayName>)]
    name: Option<String>,
    /// What the session is called in lists.
    #[schema(value_type = Option<texts::DeviceName>)]
    device_name: Option<String>,
}

/// `POST /api/v1/auth/register`.
#[utoipa::path(
    post, path = "/api/v1/auth/register", tag = "auth", operation_id = "register", summary = "Create an account and sign in",
    request_body = RegisterBody,
    responses(
        (status = 201, description = "The account, and tokens of its first session", body = TokenBody),
        (status = 403, description = "`registration_closed`"),
        (status = 409, description = "`taken`: the name or the e-mail is another's"),
    ),
    security(())
)]
pub async fn register(
    request: HttpRequest,
    services: web::Data<Services>,
    ClientInfo(client): ClientInfo,
    Json(body): Json<RegisterBody>,
) -> Answer {
    let RegisterBody { username, email, password, name, device_name } = body;
    let account = NewAccount { username, email, name, password: password.into() };
    let issued = registration::register_program(&services, account, device_name.as_deref(), &client).await?;
    tokens::answer(&services, &request, HttpResponse::Created(), &issued, Delivery::Body).await
}

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginBody {
    /// The username or the e-mail.
    #[schema(value_type = texts::Text)]
    username: String,
    /// The account’s password.
    #[schema(value_type = texts::Password)]
    password: String,
    /// What the session is called in lists.
    #[schema(value_type = Option<texts::DeviceName>)]
    device_name: Option<String>,
    /// For browser applications: the refresh token comes in a cookie that scripts can't read.
    #[serde(default)]
    refresh_cookie: bool,
}

/// `POST /api/v1/auth/login`.
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "auth", operation_id = "log_in", summary = "Sign in",
    request_body = LoginBody,
    responses(
        (status = 200, description = "Tokens of a new session", body = TokenBody),
        (status = 401, description = "`invalid_credentials`"),
        (status = 409, description = "`raced`: the account was changed meanwhile"),
    ),
    security(())
)]
pub async fn login(
    request: HttpRequest,
    services: web::Data<Services>,
    ClientInfo(client): ClientInfo,
    Json(body): Json<LoginBody>,
) -> Answer {
    let device_name = body.device_name.as_deref();
    let issued = sign_in::program(&services, &body.username, &body.password.into(), device_name, &client).await?;
    let delivery = if body.refresh_cookie { Delivery::Cookie } else { Delivery::Body };
    tokens::answer(&services, &request, HttpResponse::Ok(), &issued, delivery).await
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
        None => (tokens::from_cookie(&request)?, Delivery::Cookie),
    };
    let token = token.ok_or(Error::InvalidRefreshToken)?;
    let issued = sessions::tokens::refresh(&services, &token, &client).await?;
    tokens::answer(&services, &request, HttpResponse::Ok(), &issued, delivery).await
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
            sessions.push((user.session.user_id, user.session.session_id));
            None
        }
        Ok(MaybeApiUser(None)) => None,
        Err(problem) => Some(problem),
    };
    let mut response = HttpResponse::NoContent();
    match tokens::from_cookie(&request) {
        Ok(Some(token)) => {
            if sessions.is_empty() {
                sessions.push(session_of(&services, &token).await?);
            }
            tokens::forget_cookie(&request, &mut response);
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
    let found = sessions::tokens::inspect(&services, token).await?.ok_or(Error::InvalidRefreshToken)?;
    Ok((found.user_id, found.session_id))
}

/// The password, again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmBody {
    /// The caller’s own.
    #[schema(value_type = texts::Password)]
    password: String,
}

/// `POST /api/v1/auth/confirm`.
#[utoipa::path(
    post, path = "/api/v1/auth/confirm", tag = "auth", operation_id = "confirm_password", summary = "Enter the password again, before a sensitive act",
    request_body = ConfirmBody,
    responses(
        (status = 204, description = "Sensitive acts are possible for `reauthentication_window`"),
        (status = 401, description = "`wrong_password`, `invalid_token`, `not_signed_in`"),
        (status = 409, description = "`raced`: the account was changed meanwhile"),
    ),
    security(("bearer" = []))
)]
pub async fn confirm(
    services: web::Data<Services>,
    user: ApiUser,
    ClientInfo(client): ClientInfo,
    Json(body): Json<ConfirmBody>,
) -> Answer {
    // The session's new secret is of use to a browser only.
    reauthentication::confirm(&services, &user.caller(), &body.password.into(), &client).await?.delivered?;
    no_content()
}
