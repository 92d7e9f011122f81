//! `/api/v1/auth/register`: programs with which people create their own account.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::sessions::tokens::{self, Delivery, TokenBody};
use crate::api::{Answer, texts};
use crate::http::client_address::ClientInfo;
use crate::http::json::Json;
use crate::services::Services;
use crate::services::accounts::new_account::NewAccount;
use crate::services::accounts::registration;

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
