//! What managers and administrators do to one account: `/api/v1/users/{id}/…`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::users::{IfMatch, Refusals, UserPath, answer};
use crate::api::listing::{ListQuery, NewestFirst, PageParameters, SessionPage};
use crate::api::sessions::everyone::UserSessionQuery;
use crate::api::sessions::revoke::Revoked;
use crate::api::{Answer, EmptyBody};
use crate::domain::clock::rfc3339;
use crate::domain::{Error, FieldError, Role, UserId};
use crate::http::bearer::ApiUser;
use crate::http::client_address::ClientInfo;
use crate::http::if_match::SeenUser;
use crate::http::json::{Json, OptionalJson};
use crate::http::parameters::PathParam;
use crate::http::require_role::{Manager, RequireRole};
use crate::http::step_up::SteppedUp;
use crate::representations::UserShape;
use crate::services::Services;
use crate::services::accounts::{links, lookup};
use crate::services::administration::user_acts;
use crate::services::authentication::lockout;
use crate::services::sessions::everyone;

/// What the account may do from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    /// The role that it shall have.
    #[schema(value_type = Role)]
    role: String,
}

/// `PUT /api/v1/users/{id}/role`. Counts on the very next request of each session, which all live on.
#[utoipa::path(
    put, path = "/api/v1/users/{id}/role", tag = "users", operation_id = "set_user_role", summary = "Set the role of an account",
    params(UserPath, IfMatch),
    request_body = RoleBody,
    responses(
        (status = 200, description = "The account as it is now", body = UserShape, headers(("ETag" = String, description = "For If-Match"))),
        Refusals,
        (status = 409, description = "`last_admin`"),
    ),
    security(("bearer" = []))
)]
pub async fn set_role(
    services: web::Data<Services>,
    admin: SteppedUp<ApiUser>,
    SeenUser(subject): SeenUser,
    ClientInfo(client): ClientInfo,
    Json(RoleBody { role }): Json<RoleBody>,
) -> Answer {
    let role = FieldError::one_of("role", &role, Role::ALL).map_err(|error| Error::Invalid(error.into()))?;
    let user = user_acts::set_role(&services, &admin.auth_context(), subject, role, &client).await?;
    answer(&services, HttpResponse::Ok(), &user).await
}

/// `POST /api/v1/users/{id}/suspend`.
#[utoipa::path(
    post, path = "/api/v1/users/{id}/suspend", tag = "users", operation_id = "suspend_user",
    summary = "Keep an account from signing in; all its sessions and tokens end",
    params(UserPath, IfMatch),
    request_body = EmptyBody,
    responses(
        (status = 200, description = "The account as it is now", body = UserShape, headers(("ETag" = String, description = "For If-Match"))),
        Refusals,
        (status = 409, description = "`last_admin`"),
    ),
    security(("bearer" = []))
)]
pub async fn suspend(
    services: web::Data<Services>,
    admin: SteppedUp<ApiUser>,
    SeenUser(subject): SeenUser,
    ClientInfo(client): ClientInfo,
    OptionalJson(EmptyBody {}): OptionalJson<EmptyBody>,
) -> Answer {
    let user = user_acts::suspend(&services, &admin.auth_context(), subject, &client).await?;
    answer(&services, HttpResponse::Ok(), &user).await
}

/// `POST /api/v1/users/{id}/reinstate`. No session that the suspension ended comes back.
#[utoipa::path(
    post, path = "/api/v1/users/{id}/reinstate", tag = "users", operation_id = "reinstate_user",
    summary = "Let a suspended account sign in again",
    params(UserPath, IfMatch),
    request_body = EmptyBody,
    responses(
        (status = 200, description = "The account as it is now", body = UserShape, headers(("ETag" = String, description = "For If-Match"))),
        Refusals,
    ),
    security(("bearer" = []))
)]
pub async fn reinstate(
    services: web::Data<Services>,
    admin: SteppedUp<ApiUser>,
    SeenUser(subject): SeenUser,
    ClientInfo(client): ClientInfo,
    OptionalJson(EmptyBody {}): OptionalJson<EmptyBody>,
) -> Answer {
    let user = user_acts::reinstate(&services, &admin.auth_context(), subject, &client).await?;
    answer(&services, HttpResponse::Ok(), &user).await
}

/// With which the account’s owner chooses a password.
#[derive(Serialize, ToSchema)]
pub struct ResetLink {
    /// To hand over: it works once.
    #[schema(format = "uri")]
    url: String,
    /// Until when it works.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// `POST /api/v1/users/{id}/reset-link`. Earlier links of the account are void.
#[utoipa::path(
    post, path = "/api/v1/users/{id}/reset-link", tag = "users", operation_id = "create_reset_link",
    summary = "Get a link with which the account’s owner chooses a new password",
    params(UserPath, IfMatch),
    request_body = EmptyBody,
    responses(
        (status = 200, description = "The link, which is shown this once", body = ResetLink),
        Refusals,
    ),
    security(("bearer" = []))
)]
pub async fn reset_link(
    services: web::Data<Services>,
    admin: SteppedUp<ApiUser>,
    SeenUser(subject): SeenUser,
    ClientInfo(client): ClientInfo,
    OptionalJson(EmptyBody {}): OptionalJson<EmptyBody>,
) -> Answer {
    let link = links::issue_reset(&services, &admin.auth_context(), subject, &client).await?;
    Ok(HttpResponse::Ok().json(ResetLink { url: link.url, expires_at: rfc3339(link.expires_at) }))
}

/// `POST /api/v1/users/{id}/unlock`.
#[utoipa::path(
    post, path = "/api/v1/users/{id}/unlock", tag = "users", operation_id = "unlock_user",
    summary = "End the lock that failed sign-ins have brought about",
    params(UserPath, IfMatch),
    request_body = EmptyBody,
    responses(
        (status = 200, description = "The account as it is now", body = UserShape, headers(("ETag" = String, description = "For If-Match"))),
        (status = 404, description = "`not_found`"),
        (status = 412, description = "`precondition_failed`: the account was changed meanwhile"),
    ),
    security(("bearer" = []))
)]
pub async fn unlock(
    services: web::Data<Services>,
    manager: RequireRole<Manager, ApiUser>,
    SeenUser(subject): SeenUser,
    ClientInfo(client): ClientInfo,
    OptionalJson(EmptyBody {}): OptionalJson<EmptyBody>,
) -> Answer {
    let user = lockout::unlock(&services, &manager.user.auth_context(), subject, &client).await?;
    answer(&services, HttpResponse::Ok(), &user).await
}

/// `GET /api/v1/users/{id}/sessions`.
#[utoipa::path(
    get, path = "/api/v1/users/{id}/sessions", tag = "users", operation_id = "list_user_sessions",
    summary = "The sessions of an account, newest first",
    params(UserPath, UserSessionQuery, NewestFirst, PageParameters),
    responses(
        (
            status = 200, description = "A part of the account’s sessions", body = SessionPage,
            headers(("Link" = Option<String>, description = "The next page, where there is one (RFC 8288)")),
        ),
        (status = 404, description = "`not_found`"),
    ),
    security(("bearer" = []))
)]
pub async fn sessions(
    request: HttpRequest,
    services: web::Data<Services>,
    manager: RequireRole<Manager, ApiUser>,
    PathParam(id): PathParam<UserId>,
    ListQuery { page, filter }: ListQuery<UserSessionQuery>,
) -> Answer {
    lookup::by_id(&services.database, id).await?;
    let filter = filter.parse(id).map_err(Error::Invalid)?;
    crate::api::sessions::everyone::found(&request, &services, &manager.user, &filter, page).await
}

/// `DELETE /api/v1/users/{id}/sessions`. One act, whatever their number.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}/sessions", tag = "users", operation_id = "end_user_sessions",
    summary = "End all sessions of an account",
    params(UserPath, IfMatch),
    responses(
        (status = 200, description = "Those that had not ended before are counted", body = Revoked),
        Refusals,
    ),
    security(("bearer" = []))
)]
pub async fn end_sessions(
    services: web::Data<Services>,
    recent: Option<SteppedUp<ApiUser>>,
    SeenUser(subject): SeenUser,
    ClientInfo(client): ClientInfo,
) -> Answer {
    // Once the account is named: an address that names none is told as such.
    let manager = recent.ok_or(Error::ReauthenticationRequired)?;
    let revoked = everyone::end_of_account(&services, &manager.auth_context(), subject, &client).await?;
    Ok(HttpResponse::Ok().json(Revoked { revoked }))
}
