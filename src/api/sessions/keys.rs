//! `/api/v1/keys`: the keys that sign access tokens.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::listing::{KeyPage, ListQuery, Listing, NewestFirst, PageParameters, Unfiltered};
use crate::api::{Answer, EmptyBody};
use crate::http::bearer::ApiUser;
use crate::http::client_address::ClientInfo;
use crate::http::json::OptionalJson;
use crate::http::require_role::{Admin, RequireRole};
use crate::http::step_up::SteppedUp;
use crate::representations::KeyShape;
use crate::services::Services;
use crate::services::sessions::signing_keys;

/// `GET /api/v1/keys`.
#[utoipa::path(
    get, path = "/api/v1/keys", tag = "keys", operation_id = "list_keys", summary = "The keys that sign access tokens",
    params(NewestFirst, PageParameters),
    responses((
        status = 200, description = "Newest first", body = KeyPage,
        headers(("Link" = Option<String>, description = "The next page, where there is one (RFC 8288)")),
    )),
    security(("bearer" = []))
)]
pub async fn list(
    request: HttpRequest,
    services: web::Data<Services>,
    _: RequireRole<Admin, ApiUser>,
    ListQuery { page, filter: Unfiltered {} }: ListQuery<Unfiltered>,
) -> Answer {
    let listing = Listing::<String>::of(&services, page, "keys".to_owned())?;
    let mut keys = signing_keys::list(&services.database).await?;
    if let Some(last) = listing.before() {
        // One that is forgotten was the oldest: nothing comes after it.
        let shown = keys.iter().position(|key| key.kid == *last).map_or(keys.len(), |place| place + 1);
        keys.drain(..shown);
    }
    Ok(listing.answer(&request, &services, keys, |key| key.kid.clone(), |key| Some(KeyShape::from(&key))))
}

/// `POST /api/v1/keys/rotate`. What the former key signed stays good.
#[utoipa::path(
    post, path = "/api/v1/keys/rotate", tag = "keys", operation_id = "rotate_key",
    summary = "Sign with the next key from now on",
    request_body = EmptyBody,
    responses(
        (status = 200, description = "The key that is active now", body = KeyShape),
        (status = 401, description = "`reauthentication_required`, `invalid_token`, `not_signed_in`"),
        (status = 422, description = "`invalid`: with HS256 the key is a setting"),
    ),
    security(("bearer" = []))
)]
pub async fn rotate(
    services: web::Data<Services>,
    admin: SteppedUp<ApiUser>,
    ClientInfo(client): ClientInfo,
    OptionalJson(EmptyBody {}): OptionalJson<EmptyBody>,
) -> Answer {
    let key = signing_keys::rotate(&services, &admin.auth_context(), None, &client).await?;
    Ok(HttpResponse::Ok().json(KeyShape::from(&key)))
}
