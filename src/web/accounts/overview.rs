//! `/account`: the overview.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use crate::domain::Event;
use crate::domain::audit::AuditEvent;
use crate::domain::session::LiveSession;
use crate::http::client_address::ClientInfo;
use crate::http::current_user::CurrentUser;
use crate::services::sessions::account;
use crate::services::sessions::counts::OpenSessions;
use crate::services::{Services, audit};
use crate::web::Answer;
use crate::web::audit::event_text::EventRow;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AccountLayout, account_of, page};
use crate::web::sessions::own::{SessionRow, take_current};
use crate::web::time_tag::{TimeTag, date};

/// Other sessions shown.
const SESSIONS: usize = 2;

/// Events shown.
const EVENTS: usize = 5;

/// Events among which the sign-in before this one is looked for.
const LOOK_BACK: i64 = 100;

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
    let (mut sessions, counts) = account::live(&services, user.id, SESSIONS as i64 + 1).await?;
    let events = audit::of_account(&services.database, user.id, None, LOOK_BACK).await?;
    let now = services.clock.now();
    let here = take_current(&mut sessions, &current, &client, &services, now);
    let row = |event: &AuditEvent| EventRow::new(event.clone(), user.id, now);
    let template = OverviewPage {
        display_name: user.display_name().to_owned(),
        username: user.username.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
        role: user.role.title(),
        since: date(user.created_at),
        password_changed: user.password_changed_at.map(date),
        last_sign_in: sign_in_before(&events, &current.session).map(row),
        sessions_total: OpenSessions::from(counts).others().total().value + 1,
        here: SessionRow::new(&here, now),
        others: sessions.iter().take(SESSIONS).map(|session| SessionRow::new(session, now)).collect(),
        events: events.iter().take(EVENTS).map(row).collect(),
        layout: AccountLayout::new(&user, &current, &request, "/account", FormErrors::none()),
    };
    page(StatusCode::OK, &template)
}

/// The newest sign-in before this session began, of whichever kind; `events` come newest first.
fn sign_in_before<'a>(events: &'a [AuditEvent], live: &LiveSession) -> Option<&'a AuditEvent> {
    events.iter().find(|event| {
        let opens_a_session =
            matches!(event.event, Event::SignInSuccess | Event::UserRegistered | Event::SetupCompleted);
        opens_a_session && event.at < live.created_at && event.session_id != Some(live.id)
    })
}
