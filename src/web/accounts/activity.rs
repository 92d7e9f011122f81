//! `/account/activity`: what happened to the account.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use crate::domain::EventId;
use crate::http::current_user::CurrentUser;
use crate::http::parameters::Query;
use crate::http::problem::Problem;
use crate::services::{Services, audit};
use crate::web::Answer;
use crate::web::audit::event_text::EventRow;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AccountLayout, account_of, page};

/// Events on a page.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "accounts/activity.html")]
struct ActivityPage {
    layout: AccountLayout,
    events: Vec<EventRow>,
    /// The last event of this page, where older ones follow.
    older: Option<EventId>,
    /// Not the first page.
    continued: bool,
}

/// The query of the list.
#[derive(serde::Deserialize)]
pub struct ActivityQuery {
    before: Option<String>,
}

/// `GET /account/activity?before=<event id>`, newest first.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    Query(query): Query<ActivityQuery>,
) -> Answer {
    let user = account_of(&services, &current).await?;
    let before = query.before.map(|id| id.parse()).transpose();
    let before: Option<EventId> = before.map_err(|_| Problem::not_found())?;
    let mut events = audit::of_account(&services.database, user.id, before, PAGE as i64 + 1).await?;
    let followed = events.len() > PAGE;
    events.truncate(PAGE);
    let now = services.clock.now();
    let template = ActivityPage {
        layout: AccountLayout::new(&user, &current, &request, "/account/activity", FormErrors::none()),
        older: events.last().filter(|_| followed).map(|event| event.id),
        events: events.into_iter().map(|event| EventRow::new(event, user.id, now)).collect(),
        continued: before.is_some(),
    };
    page(StatusCode::OK, &template)
}
