//! `/api/v1/auth`: programs sign in, and are asked for the password again.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::sessions::tokens::{self, Delivery, TokenBody};
use crate::api::{Answer, no_content, texts};
use crate::http::bearer::ApiUser;
use crate::http::client_address::ClientInfo;
use crate::http::json::Json;
use crate::services::Services;
use crate::services::authentication::{reauthentication, sign_in};

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
