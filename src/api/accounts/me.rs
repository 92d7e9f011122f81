//! `/api/v1/whoami` and `/api/v1/me`: the caller's own account and its activity.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::listing::{EventPage, ListQuery, Listing, NewestFirst, PageParameters, Unfiltered};
use crate::api::{Answer, caller_account, given, no_content, own_shape, texts, user_shape};
use crate::domain::SessionId;
use crate::http::bearer::{ApiUser, MaybeApiUser};
use crate::http::client_address::ClientInfo;
use crate::http::json::Json;
use crate::representations::{EventShape, UserShape};
use crate::services::accounts::passwords;
use crate::services::accounts::profile::{self, ProfileChange};
use crate::services::{Services, audit};

/// Who is calling.
#[derive(Serialize, ToSchema)]
pub struct WhoAmI {
    /// Whether a good token came along.
    authenticated: bool,
    /// The account of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<UserShape>,
    /// The session of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session_id: Option<SessionId>,
}

/// `GET /api/v1/whoami`.
#[utoipa::path(
    get, path = "/api/v1/whoami", tag = "me", operation_id = "get_whoami", summary = "Who is calling, or nobody",
    responses(
        (status = 200, description = "`user` and `session_id` are there for a good token only", body = WhoAmI),
        (status = 401, description = "`invalid_token`: a bad token is not nobody"),
    ),
    security((), ("bearer" = []))
)]
pub async fn whoami(services: web::Data<Services>, MaybeApiUser(caller): MaybeApiUser) -> Answer {
    let Some(caller) = caller else {
        return Ok(HttpResponse::Ok().json(WhoAmI { authenticated: false, user: None, session_id: None }));
    };
    let account = caller_account(&services, &caller).await?;
    Ok(HttpResponse::Ok().json(WhoAmI {
        authenticated: true,
        user: Some(own_shape(&services, &account)),
        session_id: Some(caller.session.id),
    }))
}

/// `GET /api/v1/me`.
#[utoipa::path(
    get, path = "/api/v1/me", tag = "me", operation_id = "get_me", summary = "Your account",
    responses((status = 200, description = "The caller’s account", body = UserShape)),
    security(("bearer" = []))
)]
pub async fn show(services: web::Data<Services>, caller: ApiUser) -> Answer {
    let account = caller_account(&services, &caller).await?;
    Ok(HttpResponse::Ok().json(own_shape(&services, &account)))
}

/// What shall change; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileBody {
    /// Null or empty removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<texts::DisplayName>)]
    name: Option<Option<String>>,
    /// Another one needs `current_password`.
    #[schema(value_type = Option<texts::EmailAddress>)]
    email: Option<String>,
    /// Needed where the e-mail changes.
    #[schema(value_type = Option<texts::Password>)]
    current_password: Option<String>,
}

/// `PATCH /api/v1/me`.
#[utoipa::path(
    patch, path = "/api/v1/me", tag = "me", operation_id = "update_me", summary = "Change your name or e-mail",
    request_body = ProfileBody,
    responses(
        (status = 200, description = "The account as it is now", body = UserShape),
        (status = 401, description = "`wrong_password`, `invalid_token`, `not_signed_in`"),
        (status = 409, description = "`taken`: the e-mail is another’s; `raced`: the account was changed meanwhile"),
    ),
    security(("bearer" = []))
)]
pub async fn update(
    services: web::Data<Services>,
    caller: ApiUser,
    ClientInfo(client): ClientInfo,
    Json(body): Json<ProfileBody>,
) -> Answer {
    let ProfileBody { name, email, current_password } = body;
    let change = ProfileChange {
        name: name.map(Option::unwrap_or_default),
        email,
        current_password: current_password.map(Into::into),
    };
    let user = profile::update(&services, &caller.caller(), change, &client).await?;
    Ok(HttpResponse::Ok().json(user_shape(&services, &user).await?))
}

/// The old password and the new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordBody {
    /// The present one.
    #[schema(value_type = texts::Password)]
    current_password: String,
    /// The one that shall count from now on.
    #[schema(value_type = texts::NewPassword)]
    new_password: String,
}

/// `PUT /api/v1/me/password`.
#[utoipa::path(
    put, path = "/api/v1/me/password", tag = "me", operation_id = "change_my_password",
    summary = "Change your password: all other sessions end",
    request_body = PasswordBody,
    responses(
        (status = 204, description = "This session’s tokens stay good"),
        (status = 401, description = "`wrong_password`, `invalid_token`, `not_signed_in`"),
        (status = 409, description = "`raced`: the account was changed meanwhile"),
    ),
    security(("bearer" = []))
)]
pub async fn change_password(
    services: web::Data<Services>,
    caller: ApiUser,
    ClientInfo(client): ClientInfo,
    Json(body): Json<PasswordBody>,
) -> Answer {
    let PasswordBody { current_password, new_password } = body;
    // The session's new secret is of use to a browser only.
    passwords::change(&services, &caller.caller(), &current_password.into(), &new_password.into(), &client)
        .await?
        .delivered?;
    no_content()
}

/// `GET /api/v1/me/activity`.
#[utoipa::path(
    get, path = "/api/v1/me/activity", tag = "me", operation_id = "list_my_activity",
    summary = "What happened to your account, newest first",
    params(NewestFirst, PageParameters),
    responses((
        status = 200, description = "A part of the caller’s events", body = EventPage,
        headers(("Link" = Option<String>, description = "The next page, where there is one (RFC 8288)")),
    )),
    security(("bearer" = []))
)]
pub async fn activity(
    request: HttpRequest,
    services: web::Data<Services>,
    caller: ApiUser,
    ListQuery { page, filter: Unfiltered {} }: ListQuery<Unfiltered>,
) -> Answer {
    let user = caller.session.user_id;
    let listing = Listing::of(&services, page, format!("activity of {user}"))?;
    let rows = audit::of_account(&services.database, user, listing.before().copied(), listing.rows()).await?;
    Ok(listing.answer(&request, &services, rows, |event| event.id, |event| Some(EventShape::from(event))))
}
