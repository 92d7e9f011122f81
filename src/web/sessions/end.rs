//! `/admin/sessions/end` and `/admin/sessions/{id}/end`: `GET` says what will happen, `POST` of the same URL does it.
//! Both go back to where the reader came from: `next`, a path of ours, or the list.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::end_question::Question;
use super::everyone::{LIST, ListedSessionRow};
use crate::domain::session_list::ListedSession;
use crate::domain::{Error, FieldError, SessionId, User, UserId};
use crate::http::client_address::ClientInfo;
use crate::http::current_user::{CurrentUser, confirm_url};
use crate::http::flash::{self, Notice};
use crate::http::forms::{Form, Sent};
use crate::http::parameters::{PathParam, Query};
use crate::http::problem::Problem;
use crate::http::selection::{SelectionForm, SelectionQuery};
use crate::http::session_cookie;
use crate::http::step_up::SteppedUp;
use crate::services::Services;
use crate::services::accounts::lookup;
use crate::services::sessions::{account, counts, everyone};
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::list::url;
use crate::web::next::{self, NextQuery};
use crate::web::{Answer, see_other};

#[derive(Template)]
#[template(path = "sessions/end.html")]
struct EndPage {
    layout: AdminLayout,
    /// Where the form goes.
    action: String,
    /// Where it goes on from there, and where one leaves it as it is.
    back: String,
    /// Their ids are fields of the form, unless the address has the one.
    sends_ids: bool,
    user: Option<UserId>,
    all: bool,
    question: Question,
}

/// What is asked for beside selected sessions.
#[derive(serde::Deserialize)]
pub struct Scope {
    #[serde(default)]
    all: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    next: String,
}

/// Which sessions an act is about.
enum EndTarget {
    /// The one that the address names.
    One(SessionId),
    Selected(Vec<SessionId>),
    User(User),
    Everyone,
}

impl EndTarget {
    /// # Errors
    /// 422 where more than one of the three is asked for: nobody could tell which was meant.
    async fn of(services: &Services, ids: Vec<SessionId>, scope: &Scope) -> Result<Self, Problem> {
        let refuse = |message| Err(Error::Invalid(FieldError::new("all", "invalid", message).into()).into());
        match (&*scope.all, &*scope.user, ids.is_empty()) {
            ("1", "", true) => Ok(Self::Everyone),
            ("", "", _) => Ok(Self::Selected(ids)),
            ("", user, true) => {
                let id = user.parse().map_err(|_| Problem::not_found())?;
                Ok(Self::User(lookup::by_id(&services.database, id).await?))
            }
            ("" | "1", ..) => {
                refuse("Ask for selected sessions, for all of one account, or for all: for one of these.")
            }
            _ => refuse("Write all=1 to end all sessions, or leave it out."),
        }
    }

    /// The answer that asks for the password first, as all of somebody's and all do.
    fn password_first(&self, services: &Services, back: &str) -> Option<HttpResponse> {
        let (name, value) = match self {
            Self::One(_) | Self::Selected(_) => return None,
            Self::User(user) => ("user", user.id.to_string()),
            Self::Everyone => ("all", "1".to_owned()),
        };
        let asked = |next: &str| url(&format!("{LIST}/end"), &[(name, &value), ("next", next)]);
        let (plain, asked) = (asked(""), asked(if back == LIST { "" } else { back }));
        // Where one came from is not worth losing the act, as an address that is too long would be.
        let asked = next::or(&plain, &asked, services.settings.public_url.as_str());
        Some(see_other(&confirm_url(asked)))
    }
}

/// `GET /admin/sessions/end?id=…&id=…`, `?user=<id>` or `?all=1`. All of somebody's, or all, ask for the password first.
pub async fn ask(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    recent: Option<SteppedUp>,
    SelectionQuery { ids, rest: scope }: SelectionQuery<SessionId, Scope>,
) -> Answer {
    let target = EndTarget::of(&services, ids, &scope).await?;
    let back = back(&scope.next, &services);
    if recent.is_none()
        && let Some(confirm) = target.password_first(&services, back)
    {
        return Ok(confirm);
    }
    let reader = account_of(&services, &current).await?;
    end_page(&request, &services, &current, &reader, target, back, FormErrors::none()).await
}

/// `GET /admin/sessions/{id}/end`.
pub async fn ask_one(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    PathParam(id): PathParam<SessionId>,
    Query(query): Query<NextQuery>,
) -> Answer {
    let reader = account_of(&services, &current).await?;
    let back = back(&query.next, &services);
    end_page(&request, &services, &current, &reader, EndTarget::One(id), back, FormErrors::none()).await
}

/// `POST /admin/sessions/end`.
pub async fn end(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    recent: Option<SteppedUp>,
    ClientInfo(client): ClientInfo,
    SelectionForm(sent): SelectionForm<SessionId, Scope>,
) -> Answer {
    let ((ids, scope), stale) = match sent {
        Sent::Good(form) => (form, false),
        Sent::Stale(form) => (form, true),
    };
    let target = EndTarget::of(&services, ids, &scope).await?;
    let back = back(&scope.next, &services);
    if recent.is_none()
        && let Some(confirm) = target.password_first(&services, back)
    {
        return Ok(confirm);
    }
    let reader = account_of(&services, &current).await?;
    if stale {
        return end_page(&request, &services, &current, &reader, target, back, FormErrors::stale()).await;
    }
    let own = current.session.id;
    let recent = recent.map(|recent| recent.auth_context(&reader));
    let (ended, signs_out) = match (target, &recent) {
        (EndTarget::Everyone, Some(auth)) => {
            (everyone::end_all(&services, auth, Some(&current.caller()), &client).await?, false)
        }
        (EndTarget::User(user), Some(auth)) => {
            (everyone::end_of_account(&services, auth, user.id, &client).await?, user.id == reader.id)
        }
        (EndTarget::Selected(ids), _) if !ids.is_empty() => (
            everyone::end_selected(&services, &current.auth_context(&reader), &ids, &client).await?,
            ids.contains(&own),
        ),
        (nothing, _) => {
            return end_page(&request, &services, &current, &reader, nothing, back, FormErrors::none()).await;
        }
    };
    Ok(leave(&request, signs_out, Notice::SessionsEnded(ended), back))
}

/// `POST /admin/sessions/{id}/end`.
pub async fn end_one(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    PathParam(id): PathParam<SessionId>,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<NextQuery>,
) -> Answer {
    let reader = account_of(&services, &current).await?;
    let form = match sent {
        Sent::Good(form) => form,
        Sent::Stale(form) => {
            let (target, back) = (EndTarget::One(id), back(&form.next, &services));
            return end_page(&request, &services, &current, &reader, target, back, FormErrors::stale()).await;
        }
    };
    everyone::end_one(&services, &current.auth_context(&reader), id, &client).await?;
    let signs_out = id == current.session.id;
    Ok(leave(&request, signs_out, Notice::SessionEnded, back(&form.next, &services)))
}

fn back<'a>(next: &'a str, services: &Services) -> &'a str {
    next::or(LIST, next, services.settings.public_url.as_str())
}

/// Back; or to the sign-in page, where the reader's own session was among them.
fn leave(request: &HttpRequest, signs_out: bool, notice: Notice, back: &str) -> HttpResponse {
    if signs_out {
        session_cookie::remove(request);
        flash::set(request, Notice::SignedOut);
        return see_other("/login");
    }
    flash::set(request, notice);
    see_other(back)
}

async fn end_page(
    request: &HttpRequest,
    services: &Services,
    current: &CurrentUser,
    reader: &User,
    target: EndTarget,
    back: &str,
    form_errors: FormErrors,
) -> Answer {
    let auth = current.auth_context(reader);
    let rows = |found: Vec<ListedSession>| -> Vec<ListedSessionRow> {
        let (own, now) = (current.session.id, services.clock.now());
        found.into_iter().map(|listed| ListedSessionRow::new(listed, &auth, own, now)).collect()
    };
    let mut status = form_errors.status;
    let question = match &target {
        EndTarget::One(id) => {
            let listed = everyone::find(&services.database, &auth, *id).await?;
            match listed.session.ended.is_some() {
                true => Question {
                    sessions: rows(vec![listed]),
                    ..Question::none("This session has ended already", "There is nothing left to end.")
                },
                false => Question::selected(rows(everyone::selected(&services.database, &auth, &[*id]).await?)),
            }
        }
        EndTarget::Selected(ids) if ids.is_empty() => {
            status = StatusCode::UNPROCESSABLE_ENTITY.into();
            Question::none("No session is selected", "Go back to the list and tick those that are to end.")
        }
        EndTarget::Selected(ids) => Question::selected(rows(everyone::selected(&services.database, &auth, ids).await?)),
        EndTarget::User(user) => {
            if !auth.reaches(user) {
                return Err(Problem::forbidden());
            }
            let (_, open) = account::live(services, user.id, 0).await?;
            Question::of_user(user, user.id == reader.id, open.into())
        }
        EndTarget::Everyone => Question::everyone(&auth, counts::within_reach(services, &auth).await?),
    };
    let template = EndPage {
        layout: AdminLayout::new(reader, current, request, LIST, form_errors),
        action: match target {
            EndTarget::One(id) => format!("{LIST}/{id}/end"),
            _ => format!("{LIST}/end"),
        },
        back: back.to_owned(),
        sends_ids: matches!(target, EndTarget::Selected(_)),
        all: matches!(target, EndTarget::Everyone),
        user: match target {
            EndTarget::User(user) => Some(user.id),
            _ => None,
        },
        question,
    };
    page(status, &template)
}
