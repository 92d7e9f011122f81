//! `/admin/sessions/end` and `/admin/sessions/{id}/end`: `GET` says what will happen, `POST` of the same URL does it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::sessions::{SessionRow, told};
use super::user_acts::SIGNS_YOU_OUT;
use crate::domain::{Error, FieldError, Role, SessionId, User, UserId};
use crate::http::client_address::ClientInfo;
use crate::http::current_user::{CurrentUser, RecentPassword, confirm_url};
use crate::http::flash::{self, Notice};
use crate::http::forms::Form;
use crate::http::parameters::PathParam;
use crate::http::problem::Problem;
use crate::http::selection::{SelectionForm, SelectionQuery};
use crate::http::session_cookie;
use crate::services::{Services, Steward};
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::refusal::Refusal;
use crate::web::words::number;
use crate::web::{Answer, Nothing, see_other};

const LIST: &str = "/admin/sessions";

#[derive(Template)]
#[template(path = "admin/end_sessions.html")]
struct EndPage {
    layout: AdminLayout,
    title: String,
    /// Where the form goes.
    action: String,
    /// The selected ones.
    sessions: Vec<SessionRow>,
    /// Their ids are fields of the form, unless the address has the one.
    sends_ids: bool,
    user: Option<UserId>,
    all: bool,
    consequences: Vec<String>,
    button: String,
}

/// What is asked for beside selected sessions.
#[derive(serde::Deserialize)]
pub struct Scope {
    #[serde(default)]
    all: String,
    #[serde(default)]
    user: String,
}

/// Which sessions an act is about.
enum Target {
    Selected(Vec<SessionId>),
    User(User),
    Everyone,
}

impl Target {
    /// # Errors
    /// 422 where more than one of the three is asked for: nobody could tell which was meant.
    async fn of(services: &Services, ids: Vec<SessionId>, scope: &Scope) -> Result<Self, Problem> {
        let refuse = |message| Err(Error::Invalid(FieldError::new("all", "invalid", message).into()).into());
        match (&*scope.all, &*scope.user, ids.is_empty()) {
            ("1", "", true) => Ok(Self::Everyone),
            ("", "", _) => Ok(Self::Selected(ids)),
            ("", user, true) => {
                let id = user.parse().map_err(|_| Problem::not_found())?;
                Ok(Self::User(services.user(id).await?))
            }
            ("" | "1", ..) => {
                refuse("Ask for selected sessions, for all of one account, or for all: for one of these.")
            }
            _ => refuse("Write all=1 to end all sessions, or leave it out."),
        }
    }

    /// The answer that asks for the password first, as all of somebody's and all do where it was entered too long ago.
    fn password_first(&self, current: &CurrentUser, services: &Services) -> Option<HttpResponse> {
        let scope = match self {
            Self::Selected(_) => return None,
            Self::User(user) => format!("user={}", user.id),
            Self::Everyone => "all=1".to_owned(),
        };
        let given = RecentPassword::is_given(current, services);
        (!given).then(|| see_other(&confirm_url(&format!("{LIST}/end?{scope}"))))
    }
}

/// `GET /admin/sessions/end?id=…&id=…`, `?user=<id>` or `?all=1`. All of somebody's, or all, ask for the password first.
pub async fn ask(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    SelectionQuery { ids, rest: scope }: SelectionQuery<SessionId, Scope>,
) -> Answer {
    let target = Target::of(&services, ids, &scope).await?;
    if let Some(confirm) = target.password_first(&current, &services) {
        return Ok(confirm);
    }
    let reader = account_of(&services, &current).await?;
    end_page(&request, &services, &current, &reader, target, None).await
}

/// `GET /admin/sessions/{id}/end`.
pub async fn ask_one(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    PathParam(id): PathParam<SessionId>,
) -> Answer {
    let reader = account_of(&services, &current).await?;
    end_page(&request, &services, &current, &reader, Target::Selected(vec![id]), Some(id)).await
}

/// `POST /admin/sessions/end`.
pub async fn end(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    ClientInfo(client): ClientInfo,
    SelectionForm { ids, rest: scope }: SelectionForm<SessionId, Scope>,
) -> Answer {
    let target = Target::of(&services, ids, &scope).await?;
    if let Some(confirm) = target.password_first(&current, &services) {
        return Ok(confirm);
    }
    let reader = account_of(&services, &current).await?;
    let steward = Steward::of(&reader);
    let own = current.session.session_id;
    let (ended, signs_out) = match target {
        Target::Everyone => (services.end_everyones_sessions(&steward, Some(&current.caller()), &client).await?, false),
        Target::User(user) => {
            (services.end_all_sessions(&steward, Some(user.id), &client).await?, user.id == reader.id)
        }
        Target::Selected(ids) => {
            if ids.is_empty() {
                return end_page(&request, &services, &current, &reader, Target::Selected(ids), None).await;
            }
            (services.end_sessions(&steward, &ids, &client).await?, ids.contains(&own))
        }
    };
    Ok(leave(&request, signs_out, Notice::SessionsEnded(ended)))
}

/// `POST /admin/sessions/{id}/end`.
pub async fn end_one(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    PathParam(id): PathParam<SessionId>,
    ClientInfo(client): ClientInfo,
    Form(Nothing {}): Form<Nothing>,
) -> Answer {
    let reader = account_of(&services, &current).await?;
    services.end_session(&Steward::of(&reader), id, &client).await?;
    Ok(leave(&request, id == current.session.session_id, Notice::SessionEnded))
}

/// Back to the list; or to the sign-in page, where the reader's own session was among them.
fn leave(request: &HttpRequest, signs_out: bool, notice: Notice) -> HttpResponse {
    if signs_out {
        session_cookie::remove(request);
        flash::set(request, Notice::SignedOut);
        return see_other("/login");
    }
    flash::set(request, notice);
    see_other(LIST)
}

/// `one` is the session that the address names.
async fn end_page(
    request: &HttpRequest,
    services: &Services,
    current: &CurrentUser,
    reader: &User,
    target: Target,
    one: Option<SessionId>,
) -> Answer {
    let steward = Steward::of(reader);
    let now = services.clock.now();
    let mut template = EndPage {
        layout: AdminLayout::new(reader, current, request, LIST, Refusal::none()),
        title: String::new(),
        action: one.map_or_else(|| format!("{LIST}/end"), |id| format!("{LIST}/{id}/end")),
        sessions: Vec::new(),
        sends_ids: one.is_none(),
        user: None,
        all: false,
        consequences: Vec::new(),
        button: String::new(),
    };
    let mut status = StatusCode::OK;
    match target {
        Target::Selected(ids) => {
            let found = services.selected_sessions(&steward, &ids).await?;
            let own = current.session.session_id;
            template.sessions = found.into_iter().map(|listed| SessionRow::new(listed, &steward, own, now)).collect();
            let count = counted(template.sessions.len() as u64);
            match &template.sessions[..] {
                [] if one.is_some() => return Err(Problem::not_found()),
                [] => {
                    status = StatusCode::UNPROCESSABLE_ENTITY;
                    template.title = "No session is selected".to_owned();
                }
                [session] => {
                    template.title = format!("End the session of {}?", session.username);
                    template.button = "End the session".to_owned();
                }
                _ => {
                    template.title = format!("End {count}?");
                    template.button = format!("End {count}");
                }
            }
            let verb = if template.sessions.len() == 1 { "ends" } else { "end" };
            template.consequences = vec![
                format!("{count} {verb} at once on every node, with cookie and tokens."),
                "Whoever used them can sign in again at once.".to_owned(),
            ];
            if template.sessions.iter().any(|session| session.current) {
                template.consequences.insert(0, SIGNS_YOU_OUT.to_owned());
            }
        }
        Target::User(user) => {
            if !steward.reaches(&user) {
                return Err(Problem::forbidden());
            }
            let (_, counts) = services.sessions_of(user.id, 0).await?;
            let count = counted((counts.browser + counts.api).unsigned_abs());
            let (browser, api) = (number(counts.browser.unsigned_abs()), number(counts.api.unsigned_abs()));
            template.title = format!("End all sessions of {}?", user.username);
            template.button = format!("End {count}");
            template.consequences = vec![
                format!("{count} end at once on every node: {browser} in browsers, {api} of programs."),
                format!("{} can sign in again at once.", user.username),
            ];
            if user.id == reader.id {
                template.consequences.insert(0, SIGNS_YOU_OUT.to_owned());
            }
            template.user = Some(user.id);
        }
        Target::Everyone => {
            template.title = "End all sessions?".to_owned();
            template.button = "End all sessions".to_owned();
            template.all = true;
            template.consequences = everyone(services, &steward).await?;
        }
    }
    page(status, &template)
}

async fn everyone(services: &Services, steward: &Steward) -> Result<Vec<String>, Problem> {
    if steward.role != Role::Admin {
        return Ok(vec![
            "All sessions of accounts with the role User end at once on every node, in browsers and programs."
                .to_owned(),
            "Those of managers and administrators stay.".to_owned(),
            "All users must sign in again, and all their programs.".to_owned(),
        ]);
    }
    let open = services.open_sessions(steward).await?;
    let (total, browser, api) = (told(open.total()), told(open.browser), told(open.api));
    Ok(vec![
        format!(
            "All of {total} sessions but this one end at once on every node: {browser} in browsers, {api} of programs."
        ),
        "Everyone must sign in again, and all programs.".to_owned(),
        "This session, in which you read this, stays.".to_owned(),
    ])
}

fn counted(sessions: u64) -> String {
    if sessions == 1 { "1 session".to_owned() } else { format!("{} sessions", number(sessions)) }
}
