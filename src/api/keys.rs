//! `/api/v1/keys`: the keys that sign access tokens.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use super::listing::PageInfo;
use crate::http::bearer::ApiUser;
use crate::http::client_address::ClientInfo;
use crate::http::principal::{Admin, RequireRole};
use crate::services::Services;
use crate::shapes::KeyShape;

/// All keys, newest first. There are few: they are always one page.
#[derive(Serialize, ToSchema)]
pub struct Keys {
    data: Vec<KeyShape>,
    page: PageInfo,
}

/// `GET /api/v1/keys`.
#[utoipa::path(
    get, path = "/api/v1/keys", tag = "keys", operation_id = "keys", summary = "The keys that sign access tokens",
    responses((status = 200, body = Keys)),
    security(("bearer" = []))
)]
pub async fn list(services: web::Data<Services>, _: RequireRole<Admin, ApiUser>) -> Answer {
    let data = services.signing_keys().await?.iter().map(KeyShape::from).collect();
    Ok(HttpResponse::Ok().json(Keys { data, page: PageInfo::whole() }))
}

/// `POST /api/v1/keys/rotate`. What the former key signed stays good.
#[utoipa::path(
    post, path = "/api/v1/keys/rotate", tag = "keys", operation_id = "rotate_key",
    summary = "Sign with the next key from now on",
    responses(
        (status = 200, description = "The key that is active now", body = KeyShape),
        (status = 401, description = "`reauthentication_required`, `invalid_token`, `not_signed_in`"),
        (status = 422, description = "`invalid`: with HS256 the key is a setting"),
    ),
    security(("bearer" = []))
)]
pub async fn rotate(
    services: web::Data<Services>,
    admin: RequireRole<Admin, ApiUser>,
    ClientInfo(client): ClientInfo,
) -> Answer {
    services.require_recent_password(&admin.user.session)?;
    let key = services.rotate_signing_key(&admin.user.steward(), &client).await?;
    Ok(HttpResponse::Ok().json(KeyShape::from(&key)))
}
