//! `/api/v1/audit`: the audit log.

use actix_web::{HttpRequest, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::listing::{EventPage, ListQuery, NewestFirst, PageParameters, page};
use super::{Answer, texts};
use crate::domain::audit_list::{AuditFilter, TypedAuditFilter};
use crate::domain::{Error, Event, FieldError, FieldErrors, Outcome};
use crate::http::bearer::ApiUser;
use crate::http::require_role::{Manager, RequireRole};
use crate::representations::EventShape;
use crate::services::{Services, audit};

/// Which events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// From this moment (RFC 3339) or this day on, such as `2026-11-20`, in UTC.
    #[param(value_type = Option<texts::DayOrMoment>)]
    since: Option<String>,
    /// Before this moment, or until the end of this day.
    #[param(value_type = Option<texts::DayOrMoment>)]
    until: Option<String>,
    /// Only events of this name.
    #[param(value_type = Option<Event>)]
    event: Option<String>,
    /// Who did it or whom it was done to: a username that the account has or had, its e-mail or its id; of a deleted
    /// account no e-mail.
    #[param(value_type = Option<texts::AccountName>)]
    user: Option<String>,
    /// The whole address of the client.
    #[param(value_type = Option<texts::IpAddress>)]
    address: Option<String>,
    /// Only what succeeded, or only what failed.
    #[param(value_type = Option<Outcome>)]
    outcome: Option<String>,
    /// Of one request: `x-request-id` of its answer, `request_id` of a problem.
    #[param(value_type = Option<texts::RequestId>)]
    request_id: Option<String>,
}

impl AuditQuery {
    /// # Errors
    /// Each field that can't be read. On a page an empty field is no filter; here nobody has to send it.
    fn parse(self) -> Result<AuditFilter, FieldErrors> {
        let Self { since, until, event, user, address, outcome, request_id } = self;
        let typed = TypedAuditFilter { since, until, event, user, address, outcome, request_id };
        let mut errors = FieldErrors::default();
        for (field, text) in typed.fields() {
            if text.is_some_and(|text| text.is_empty() || text.trim() != text) {
                errors.push(FieldError::new(field, "invalid", "Write it without spaces around it, or leave it out."));
            } else if field == "user" && text.is_some_and(|text| text.contains(' ') && text.contains('@')) {
                // It would find nobody, without a word.
                let advice = "An e-mail has no space. In an address + is one: write %2B for it.";
                errors.push(FieldError::new(field, "invalid", advice));
            }
        }
        if errors.is_empty() { typed.parse() } else { Err(errors) }
    }
}

/// `GET /api/v1/audit`.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", operation_id = "list_audit_events",
    summary = "What happened, newest first; a page may be short, or empty, and another follow",
    params(AuditQuery, NewestFirst, PageParameters),
    responses((
        status = 200, description = "A part of the audit log", body = EventPage,
        headers(("Link" = Option<String>, description = "The next page, where there is one (RFC 8288)")),
    )),
    security(("bearer" = []))
)]
pub async fn list(
    request: HttpRequest,
    services: web::Data<Services>,
    manager: RequireRole<Manager, ApiUser>,
    ListQuery { page: part, filter }: ListQuery<AuditQuery>,
) -> Answer {
    let filter = filter.parse().map_err(Error::Invalid)?;
    let found =
        audit::search(&services, &manager.user.auth_context(), &filter, part.cursor.as_deref(), part.limit).await?;
    Ok(page(&request, &services, part.limit, found.next, found.events.into_iter().map(EventShape::from).collect()))
}
