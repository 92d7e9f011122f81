//! `/api/v1/me/sessions`: everywhere the caller is signed in.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::TimeDelta;

use super::everyone::SessionPath;
use super::revoke::Revoked;
use crate::api::listing::{ListQuery, Listing, NewestFirst, PageParameters, SessionPage, Unfiltered};
use crate::api::{Answer, caller_account, no_content};
use crate::domain::SessionId;
use crate::http::bearer::ApiUser;
use crate::http::client_address::ClientInfo;
use crate::http::parameters::PathParam;
use crate::representations::SessionShape;
use crate::services::{Services, sessions};

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
pub async fn list(
    request: HttpRequest,
    services: web::Data<Services>,
    caller: ApiUser,
    ListQuery { page, filter: Unfiltered {} }: ListQuery<Unfiltered>,
) -> Answer {
    let account = caller_account(&services, &caller).await?;
    let user = &account.user;
    let listing = Listing::of(&services, page, format!("sessions of {}", user.id))?;
    let rows = sessions::account::newest(&services, user.id, listing.before().copied(), listing.rows()).await?;
    let (now, current) = (services.clock.now(), caller.session.id);
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
pub async fn end(
    services: web::Data<Services>,
    caller: ApiUser,
    PathParam(id): PathParam<SessionId>,
    ClientInfo(client): ClientInfo,
) -> Answer {
    sessions::own::end(&services, &caller.caller(), id, &client).await?;
    no_content()
}

/// `DELETE /api/v1/me/sessions`.
#[utoipa::path(
    delete, path = "/api/v1/me/sessions", tag = "me", operation_id = "end_my_other_sessions",
    summary = "End all your sessions but this one",
    responses((status = 200, description = "Those that had not ended before are counted", body = Revoked)),
    security(("bearer" = []))
)]
pub async fn end_others(services: web::Data<Services>, caller: ApiUser, ClientInfo(client): ClientInfo) -> Answer {
    let revoked = sessions::own::end_others(&services, &caller.caller(), &client).await?;
    Ok(HttpResponse::Ok().json(Revoked { revoked }))
}
