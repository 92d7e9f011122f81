//! `/api/v1/sessions`: everyone's sessions, of both kinds, live and ended.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::listing::{ListQuery, NewestFirst, PageParameters, PageQuery, SessionPage, page};
use crate::api::{Answer, no_content, texts, word};
use crate::domain::session_list::{ListedSession, SessionFilter, SessionOrder, SessionState};
use crate::domain::{Error, FieldError, FieldErrors, SessionId, SessionKind, UserId};
use crate::http::bearer::ApiUser;
use crate::http::client_address::ClientInfo;
use crate::http::parameters::PathParam;
use crate::http::require_role::{Manager, RequireRole};
use crate::representations::SessionShape;
use crate::services::Services;
use crate::services::sessions::everyone;

/// Which sessions of everyone.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SessionQuery {
    /// Only those of this account.
    #[param(value_type = Option<UserId>)]
    user_id: Option<String>,
    /// Only those of this kind.
    #[param(value_type = Option<SessionKind>)]
    kind: Option<String>,
    /// A part of the owner’s username or e-mail, or how the address or the device begins.
    #[param(value_type = Option<texts::SearchText>)]
    q: Option<String>,
    /// Only those in this state; `live` without it.
    #[param(value_type = Option<SessionState>)]
    state: Option<String>,
}

/// Which sessions of one account.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UserSessionQuery {
    /// Only those of this kind.
    #[param(value_type = Option<SessionKind>)]
    kind: Option<String>,
    /// A part of the owner’s username or e-mail, or how the address or the device begins.
    #[param(value_type = Option<texts::SearchText>)]
    q: Option<String>,
    /// Only those in this state; `live` without it.
    #[param(value_type = Option<SessionState>)]
    state: Option<String>,
}

impl UserSessionQuery {
    /// # Errors
    /// Each word that isn't known.
    pub(in crate::api) fn parse(self, user: UserId) -> Result<SessionFilter, FieldErrors> {
        let Self { kind, q, state } = self;
        Ok(SessionFilter { user: Some(user), ..SessionQuery { user_id: None, kind, q, state }.parse()? })
    }
}

impl SessionQuery {
    /// # Errors
    /// Each word that isn't known.
    fn parse(self) -> Result<SessionFilter, FieldErrors> {
        let mut errors = FieldErrors::default();
        let user = errors.check(self.user_id.as_deref().map(user_id).transpose());
        let kind = errors.check(word("kind", self.kind.as_deref(), SessionKind::ALL));
        let state = errors.check(word("state", self.state.as_deref(), SessionState::ALL));
        let (Some(user), Some(kind), Some(state)) = (user, kind, state) else { return Err(errors) };
        let (state, order) = (state.unwrap_or(SessionState::Live), SessionOrder::Beginning);
        Ok(SessionFilter { state, order, kind, user, q: self.q })
    }
}

/// `GET /api/v1/sessions`.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions", operation_id = "list_sessions",
    summary = "Everyone’s sessions, newest first; a page may be short, or empty, and another follow",
    params(SessionQuery, NewestFirst, PageParameters),
    responses((
        status = 200, description = "A part of the sessions", body = SessionPage,
        headers(("Link" = Option<String>, description = "The next page, where there is one (RFC 8288)")),
    )),
    security(("bearer" = []))
)]
pub async fn list(
    request: HttpRequest,
    services: web::Data<Services>,
    manager: RequireRole<Manager, ApiUser>,
    ListQuery { page, filter }: ListQuery<SessionQuery>,
) -> Answer {
    let filter = filter.parse().map_err(Error::Invalid)?;
    found(&request, &services, &manager.user, &filter, page).await
}

/// One page of what the filter finds.
pub(in crate::api) async fn found(
    request: &HttpRequest,
    services: &Services,
    manager: &ApiUser,
    filter: &SessionFilter,
    PageQuery { limit, cursor }: PageQuery,
) -> Answer {
    let found = everyone::search(services, &manager.auth_context(), filter, cursor.as_deref(), limit).await?;
    let current = Some(manager.session.id);
    let shape = |listed: &ListedSession| SessionShape::new(&listed.session, &listed.owner.username, current);
    Ok(page(request, services, limit, found.next, found.sessions.iter().map(shape).collect()))
}

pub(super) fn user_id(text: &str) -> Result<UserId, FieldError> {
    FieldError::parse("user_id", text, "Write the id of an account, as the lists show it.")
}

/// Which session.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes what PathParam reads")]
pub struct SessionPath {
    /// Of the session, as lists and answers show it.
    id: SessionId,
}

/// `GET /api/v1/sessions/{id}`, live or ended.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}", tag = "sessions", operation_id = "get_session", summary = "A session",
    params(SessionPath),
    responses(
        (status = 200, description = "The session, live or ended", body = SessionShape),
        (status = 404, description = "`not_found`"),
    ),
    security(("bearer" = []))
)]
pub async fn show(
    services: web::Data<Services>,
    manager: RequireRole<Manager, ApiUser>,
    PathParam(id): PathParam<SessionId>,
) -> Answer {
    let ListedSession { session, owner } = everyone::find(&services.database, &manager.user.auth_context(), id).await?;
    let here = Some(manager.user.session.id);
    Ok(HttpResponse::Ok().json(SessionShape::new(&session, &owner.username, here)))
}

/// `DELETE /api/v1/sessions/{id}`. One that had ended before is no error.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", tag = "sessions", operation_id = "end_session", summary = "End a session",
    params(SessionPath),
    responses(
        (status = 204, description = "The session and all its tokens have ended"),
        (status = 404, description = "`not_found`"),
    ),
    security(("bearer" = []))
)]
pub async fn end(
    services: web::Data<Services>,
    manager: RequireRole<Manager, ApiUser>,
    PathParam(id): PathParam<SessionId>,
    ClientInfo(client): ClientInfo,
) -> Answer {
    everyone::end_one(&services, &manager.user.auth_context(), id, &client).await?;
    no_content()
}
