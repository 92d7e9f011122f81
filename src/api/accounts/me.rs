//! `/api/v1/whoami` and `/api/v1/me`: the caller's own account, sessions and activity.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::listing::{EventPage, ListQuery, Listing, NewestFirst, PageParameters, SessionPage, Unfiltered};
use crate::api::sessions::everyone::{Revoked, SessionPath};
use crate::api::{Answer, given, no_content, texts, user_shape};
use crate::domain::{Error, SessionId, User};
use crate::http::bearer::{ApiUser, MaybeApiUser};
use crate::http::client_address::ClientInfo;
use crate::http::json::Json;
use crate::http::parameters::PathParam;
use crate::http::problem::Problem;
use crate::representations::{EventShape, SessionShape, UserShape};
use crate::services::accounts::profile::{self, ProfileChange};
use crate::services::accounts::{lookup, passwords};
use crate::services::sessions::{account, own};
use crate::services::{Services, audit};

/// The caller's account. One that was deleted since the token was looked at is no longer signed in.
async fn account_of(services: &Services, caller: &ApiUser) -> Result<User, Problem> {
    lookup::by_id(&services.database, caller.session.user_id).await.map_err(|error| match error {
        Error::NotFound => Error::InvalidToken.into(),
        other => other.into(),
    })
}

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
    let user = account_of(&services, &caller).await?;
    Ok(HttpResponse::Ok().json(WhoAmI {
        authenticated: true,
        user: Some(user_shape(&services, &user).await?),
        session_id: Some(caller.session.session_id),
    }))
}

/// `GET /api/v1/me`.
#[utoipa::path(
    get, path = "/api/v1/me", tag = "me", operation_id = "get_me", summary = "Your account",
    responses((status = 200, description = "The caller’s account", body = UserShape)),
    security(("bearer" = []))
)]
pub async fn show(services: web::Data<Services>, caller: ApiUser) -> Answer {
    Ok(HttpResponse::Ok().json(user_shape(&services, &account_of(&services, &caller).await?).await?))
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

/// `GET /api/v1/me/sessions`.
#[utoipa::path(
    get, path = "/api/v1/me/sessions", tag = "me", operation_id = "list_my_sessions", summary = "Your live sessions, newest first",
    params(NewestFirst, PageParameters),
    responses((
        status = 200, description = "A part of the caller’s sessions", body = SessionPage,
        headers(("Link" = Option<String>, description = "The next page, where there is one (RFC 8288)")),
    )),
    security(("bearer" = []))
)]
pub async fn sessions(
    request: HttpRequest,
    services: web::Data<Services>,
    caller: ApiUser,
    ListQuery { page, filter: Unfiltered {} }: ListQuery<Unfiltered>,
) -> Answer {
    let user = account_of(&services, &caller).await?;
    let listing = Listing::of(&services, page, format!("sessions of {}", user.id))?;
    let rows = account::newest(&services, user.id, listing.before().copied(), listing.rows()).await?;
    let (now, current) = (services.clock.now(), caller.session.session_id);
    Ok(listing.answer(
        &request,
        &services,
        rows,
        |session| session.id,
        |session| {
            // The database may know the last activity of the session that asks a little late.
            let shown = session.id == current || session.is_live(now, TimeDelta::zero());
            shown.then(|| SessionShape::new(&session, user.username.as_str(), Some(current)))
        },
    ))
}

/// `DELETE /api/v1/me/sessions/{id}`. Another's session is as unknown as one that never was.
#[utoipa::path(
    delete, path = "/api/v1/me/sessions/{id}", tag = "me", operation_id = "end_my_session", summary = "End one of your sessions",
    params(SessionPath),
    responses(
        (status = 204, description = "The session and all its tokens have ended"),
        (status = 404, description = "`not_found`"),
    ),
    security(("bearer" = []))
)]
pub async fn end_session(
    services: web::Data<Services>,
    caller: ApiUser,
    PathParam(id): PathParam<SessionId>,
    ClientInfo(client): ClientInfo,
) -> Answer {
    own::end(&services, &caller.caller(), id, &client).await?;
    no_content()
}

/// `DELETE /api/v1/me/sessions`.
#[utoipa::path(
    delete, path = "/api/v1/me/sessions", tag = "me", operation_id = "end_my_other_sessions",
    summary = "End all your sessions but this one",
    responses((status = 200, description = "Those that had not ended before are counted", body = Revoked)),
    security(("bearer" = []))
)]
pub async fn end_other_sessions(
    services: web::Data<Services>,
    caller: ApiUser,
    ClientInfo(client): ClientInfo,
) -> Answer {
    let revoked = own::end_others(&services, &caller.caller(), &client).await?;
    Ok(HttpResponse::Ok().json(Revoked { revoked }))
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
