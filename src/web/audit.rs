//! `/admin/audit`: the audit log, and its export.

pub mod event_text;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use futures_util::TryStreamExt as _;

use super::list::{Choice, url};
use crate::domain::audit::AuditEvent;
use crate::domain::audit_list::{AuditFilter, AuditedAccount, TypedAuditFilter};
use crate::domain::clock::duration;
use crate::domain::{Actor, Error, Event, FieldErrors, Outcome, Timestamp, UserId};
use crate::http::current_user::CurrentUser;
use crate::http::parameters::Query;
use crate::http::problem::Problem;
use crate::representations::audit_export::ExportFormat;
use crate::services::Services;
use crate::services::audit::{self, AuditPage};
use crate::web::Answer;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::time_tag::{TimeTag, exact};

/// Events on a page.
const PAGE: u16 = 50;
const PATH: &str = "/admin/audit";
const EXPORT: &str = "/admin/audit/export";

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditLogPage {
    layout: AdminLayout,
    retention: String,
    csv: String,
    jsonl: String,
    filter: Typed,
    events_of_filter: Vec<Choice>,
    outcomes: Vec<Choice>,
    filtered: bool,
    events: Vec<AuditRow>,
    /// Where the newest are, on a later page.
    first: Option<String>,
    next: Option<String>,
}

/// What stands in the fields of the filter, and what is wrong with it.
struct Typed {
    since: TypedField,
    until: TypedField,
    user: TypedField,
    address: TypedField,
    request_id: TypedField,
}

struct TypedField {
    text: String,
    hint: Option<String>,
    error: Option<String>,
}

impl TypedField {
    fn new(text: Option<&str>, error: Option<&str>) -> Self {
        Self { text: text.unwrap_or_default().to_owned(), hint: None, error: error.map(str::to_owned) }
    }

    /// A moment that could be read, as `<input type="datetime-local">` takes it: any other spelling leaves that empty.
    fn moment(at: Option<Timestamp>, typed: Self) -> Self {
        let Some(at) = at else { return typed };
        let format = match at.timestamp_millis() {
            millis if millis % 60_000 == 0 => "%Y-%m-%dT%H:%M",
            millis if millis % 1000 == 0 => "%Y-%m-%dT%H:%M:%S",
            _ => "%Y-%m-%dT%H:%M:%S%.3f",
        };
        Self { text: at.format(format).to_string(), ..typed }
    }
}

/// Somebody in the log, and where all of its events are.
struct Party {
    name: String,
    events: Option<String>,
}

impl Party {
    /// By the id: the name may be another's now.
    fn account(id: UserId, name: String) -> Self {
        Self { name, events: Some(url(PATH, &[("user", &id.to_string())])) }
    }
}

/// An event as those who administer read it.
struct AuditRow {
    at: TimeTag,
    event: &'static str,
    detail: Option<String>,
    outcome: Outcome,
    actor: Party,
    subject: Option<Party>,
    address: Option<String>,
    device: Option<String>,
    request: Option<Request>,
}

/// What an event was a part of.
struct Request {
    id: String,
    /// How its id ends: what tells it from its neighbours.
    end: String,
    /// Where all of its events are.
    events: String,
}

impl Request {
    fn new(id: String) -> Self {
        let end = id.chars().skip(id.chars().count().saturating_sub(4)).collect();
        Self { end, events: url(PATH, &[("request_id", &id)]), id }
    }
}

impl AuditRow {
    fn new(event: AuditEvent, now: Timestamp) -> Self {
        Self {
            at: exact(event.at, now),
            event: event.event.as_str(),
            outcome: event.outcome,
            actor: match event.actor {
                Actor::User { id, username } => Party::account(id, username),
                other => Party { name: other.label().to_owned(), events: None },
            },
            subject: event.subject.map(|(id, username)| Party::account(id, username)),
            address: event.address,
            device: event.device,
            request: event.request_id.map(Request::new),
            detail: event.detail,
        }
    }
}

/// The query of the list.
#[derive(serde::Deserialize)]
pub struct AuditQuery {
    #[serde(flatten)]
    filter: TypedAuditFilter,
    cursor: Option<String>,
    format: Option<String>,
}

impl AuditQuery {
    /// The same filter on another page.
    fn url(&self, path: &str, more: (&str, &str)) -> String {
        let filter = self.filter.fields().into_iter().map(|(name, text)| (name, text.unwrap_or_default()));
        url(path, &filter.chain([more]).collect::<Vec<_>>())
    }
}

/// `GET /admin/audit?since=…&until=…&event=…&user=…&address=…&outcome=…&request_id=…&cursor=…`. A filter that can't be
/// read is 422; a cursor that is none of this list shows its first page.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    Query(query): Query<AuditQuery>,
) -> Answer {
    let reader = account_of(&services, &current).await?;
    let auth = current.auth_context(&reader);
    let mut cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let (filter, found, form_errors) = match query.filter.parse() {
        Ok(filter) => {
            let found = match audit::search(&services, &auth, &filter, cursor, PAGE).await {
                Err(Error::Invalid(_)) => {
                    cursor = None;
                    audit::search(&services, &auth, &filter, None, PAGE).await?
                }
                other => other?,
            };
            (filter, found, FormErrors::none())
        }
        Err(errors) => {
            let nothing = AuditPage { events: Vec::new(), next: None };
            (AuditFilter::default(), nothing, FormErrors::of(Error::Invalid(errors))?)
        }
    };
    let whose = match &filter.user {
        Some(user) => whose_events(user, &audit::accounts(&services.database, &auth, user).await?),
        None => None,
    };
    let now = services.clock.now();
    let status = form_errors.status;
    let typed = |text: &Option<String>, field: &str| TypedField::new(text.as_deref(), form_errors.error_of(field));
    let template = AuditLogPage {
        retention: duration(services.settings.audit_retention),
        csv: query.url(EXPORT, ("format", "csv")),
        jsonl: query.url(EXPORT, ("format", "jsonl")),
        filter: Typed {
            since: TypedField::moment(filter.since, typed(&query.filter.since, "since")),
            until: TypedField::moment(filter.until, typed(&query.filter.until, "until")),
            user: TypedField { hint: whose, ..typed(&query.filter.user, "user") },
            address: typed(&query.filter.address, "address"),
            request_id: typed(&query.filter.request_id, "request_id"),
        },
        events_of_filter: events(filter.event),
        outcomes: outcomes(filter.outcome),
        filtered: form_errors.is_some() || !filter.is_empty(),
        events: found.events.into_iter().map(|event| AuditRow::new(event, now)).collect(),
        first: cursor.map(|_| query.url(PATH, ("cursor", ""))),
        next: found.next.as_deref().map(|next| query.url(PATH, ("cursor", next))),
        layout: AdminLayout::new(&reader, &current, &request, PATH, form_errors),
    };
    page(status, &template)
}

/// `GET /admin/audit/export?format=csv` (or `jsonl`) with the filter of the page: a file that is written while it is
/// read. Where the database fails on the way, or the right to it ends, the answer breaks off and the browser says so.
pub async fn export(services: web::Data<Services>, current: CurrentUser, Query(query): Query<AuditQuery>) -> Answer {
    let reader = account_of(&services, &current).await?;
    let filter = query.filter.parse().map_err(Error::Invalid)?;
    let format = match query.format.as_deref() {
        Some("csv") => ExportFormat::Csv,
        Some("jsonl") => ExportFormat::Jsonl,
        _ => return Err(unknown_format()),
    };
    let events = audit::export(&services, &current.auth_context(&reader), filter)?;
    let body = format
        .write(events)
        .map_ok(Bytes::from)
        .inspect_err(|error| tracing::warn!(%error, "an export of the audit log broke off"));
    let name = format!("audit-{}.{}", services.clock.now().format("%Y-%m-%d"), format.extension());
    Ok(HttpResponse::build(StatusCode::OK)
        .insert_header((CONTENT_TYPE, format.media_type()))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .streaming(body))
}

/// Whose events a search for `typed` shows, where that doesn't say it.
fn whose_events(typed: &str, accounts: &[AuditedAccount]) -> Option<String> {
    match accounts {
        [] => Some("No account has or had this name.".to_owned()),
        [one] if one.deleted => Some(format!("Events of {}, deleted.", one.username)),
        [one] if one.username.eq_ignore_ascii_case(typed) => None,
        [one] => Some(format!("Events of {}.", one.username)),
        many => Some(format!("Events of {} accounts that have or had this name.", many.len())),
    }
}

fn unknown_format() -> Problem {
    let error = crate::domain::FieldError::new("format", "invalid", "Choose csv or jsonl.");
    Error::Invalid(FieldErrors::from(error)).into()
}

fn events(chosen: Option<Event>) -> Vec<Choice> {
    let choice =
        |event: &Event| Choice { value: event.as_str(), title: event.as_str(), selected: chosen == Some(*event) };
    Event::ALL.iter().map(choice).collect()
}

fn outcomes(chosen: Option<Outcome>) -> Vec<Choice> {
    let choice = |outcome: &Outcome| Choice {
        value: outcome.as_str(),
        title: match outcome {
            Outcome::Success => "Success",
            Outcome::Failure => "Failure",
        },
        selected: chosen == Some(*outcome),
    };
    Outcome::ALL.iter().map(choice).collect()
}
