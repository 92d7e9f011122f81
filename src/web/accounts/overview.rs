//! `/account`: the overview.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use crate::domain::audit::AuditEvent;
use crate::http::client_address::ClientInfo;
use crate::http::current_user::CurrentUser;
use crate::services::Services;
use crate::services::accounts::overview::{self, Overview};
use crate::services::sessions::counts::OpenSessions;
use crate::web::Answer;
use crate::web::audit::event_text::EventRow;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AccountLayout, account_of, page};
use crate::web::sessions::own::{SessionRow, take_current};
use crate::web::time_tag::{TimeTag, date};

/// Other sessions shown.
const SESSIONS: i64 = 2;

/// Events shown.
const EVENTS: i64 = 5;

#[derive(Template)]
#[template(path = "accounts/overview.html")]
struct OverviewPage {
    layout: AccountLayout,
    display_name: String,
    username: String,
    email: String,
    role: &'static str,
    since: TimeTag,
    password_changed: Option<TimeTag>,
    /// The sign-in before the one of this session.
    last_sign_in: Option<EventRow>,
    sessions_total: i64,
    here: SessionRow,
    others: Vec<SessionRow>,
    events: Vec<EventRow>,
}

/// `GET /account`.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    ClientInfo(client): ClientInfo,
) -> Answer {
    let user = account_of(&services, &current).await?;
    let read = overview::read(&services, &current.session, SESSIONS + 1, EVENTS).await?;
    let Overview { mut sessions, counts, events, sign_in_before } = read;
    let now = services.clock.now();
    let here = take_current(&mut sessions, &current, &client, &services, now);
    let row = |event: AuditEvent| EventRow::new(event, user.id, now);
    let template = OverviewPage {
        display_name: user.display_name().to_owned(),
        username: user.username.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
        role: user.role.title(),
        since: date(user.created_at),
        password_changed: user.password_changed_at.map(date),
        last_sign_in: sign_in_before.map(row),
        sessions_total: OpenSessions::from(counts).others().total().value + 1,
        here: SessionRow::new(&here, now),
        others: sessions.iter().take(SESSIONS as usize).map(|session| SessionRow::new(session, now)).collect(),
        events: events.into_iter().map(row).collect(),
        layout: AccountLayout::new(&user, &current, &request, "/account", FormErrors::none()),
    };
    page(StatusCode::OK, &template)
}
