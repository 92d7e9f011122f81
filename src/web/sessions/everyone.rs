//! `/admin/sessions`: everyone's sessions, of both kinds, live and ended.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use super::counts;
use crate::domain::session_list::{ListedSession, SessionFilter, SessionState};
use crate::domain::{EndReason, Error, SessionId, SessionKind, Timestamp, UserId};
use crate::http::current_user::CurrentUser;
use crate::http::parameters::Query;
use crate::http::problem::Problem;
use crate::services::accounts::lookup;
use crate::services::sessions::everyone::{self, SessionPage};
use crate::services::sessions::{self, account};
use crate::services::{AuthContext, Services};
use crate::web::Answer;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::list::{Choice, url};
use crate::web::time_tag::{TimeTag, time_tag};

/// The list, where one goes back to without a `next`.
pub(in crate::web) const LIST: &str = "/admin/sessions";

/// Sessions on a page.
const PAGE: u16 = 50;

#[derive(Template)]
#[template(path = "sessions/everyone.html")]
struct SessionsPage {
    layout: AdminLayout,
    totals: String,
    q: String,
    kinds: Vec<Choice>,
    states: Vec<Choice>,
    state: SessionState,
    /// The one account whose sessions these are.
    user: Option<Whose>,
    filtered: bool,
    /// Whether any of them can be ended.
    pickable: bool,
    sessions: Vec<ListedSessionRow>,
    /// This page, where whoever ends some of them comes back to; none where that is the list as it begins.
    back: Option<String>,
    /// The same list of those that ended.
    ended: String,
    /// Where the first page is, on a later one.
    first: Option<String>,
    next: Option<String>,
}

/// The account to which a list is narrowed.
struct Whose {
    id: UserId,
    username: String,
    /// There, and within the reader's reach.
    can_end: bool,
}

impl Whose {
    /// Of an account that is gone, with the name that its sessions have in the history; its id where there are none.
    async fn of(services: &Services, auth: &AuthContext, id: UserId, found: &[ListedSession]) -> Result<Self, Problem> {
        Ok(match lookup::by_id(&services.database, id).await {
            Ok(user) => Self { id, can_end: auth.reaches(&user), username: user.username.as_str().to_owned() },
            Err(Error::NotFound) => {
                let username = found.first().map_or(id.to_string(), |listed| listed.owner.username.clone());
                Self { id, username, can_end: false }
            }
            Err(error) => return Err(error.into()),
        })
    }
}

/// A session as those who administer read it.
pub struct ListedSessionRow {
    pub id: SessionId,
    pub user_id: UserId,
    pub username: String,
    pub email: String,
    /// The account is gone: there is no page to link to.
    pub deleted: bool,
    pub kind: &'static str,
    pub device: String,
    pub address: String,
    pub started: TimeTag,
    pub last_active: TimeTag,
    pub expires: TimeTag,
    pub ended: Option<EndedRow>,
    /// The session of the reader.
    pub current: bool,
    /// Live, another's and within the reader's reach.
    pub can_end: bool,
}

/// When, by whom and why.
pub struct EndedRow {
    pub at: TimeTag,
    pub by: String,
    pub why: &'static str,
}

impl ListedSessionRow {
    pub fn new(listed: ListedSession, auth: &AuthContext, current: SessionId, now: Timestamp) -> Self {
        let ListedSession { session, owner } = listed;
        let is_current = session.id == current;
        Self {
            id: session.id,
            user_id: session.user_id,
            username: owner.username,
            email: owner.email,
            deleted: owner.deleted,
            kind: kind(session.kind),
            started: time_tag(session.created_at, now),
            last_active: time_tag(session.last_active_at, now),
            expires: time_tag(session.expires_at(), now),
            current: is_current,
            can_end: session.ended.is_none() && !is_current && auth.reaches_role(owner.role),
            ended: session.ended.map(|ended| EndedRow {
                at: time_tag(ended.at, now),
                by: match ended.by.as_str() {
                    "cli" => "the command line".to_owned(),
                    "system" => "the server".to_owned(),
                    _ => ended.by,
                },
                why: why(ended.reason),
            }),
            device: session.device,
            address: session.address,
        }
    }
}

fn kind(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::Browser => "Browser",
        SessionKind::Api => "API",
    }
}

fn why(reason: EndReason) -> &'static str {
    match reason {
        EndReason::SignedOut => "Signed out",
        EndReason::EndedByOwner => "Ended by its owner",
        EndReason::EndedByAdministrator => "Ended by an administrator",
        EndReason::EndedAll => "All were ended",
        EndReason::PasswordChanged => "Password changed",
        EndReason::Suspended => "Account suspended",
        EndReason::Deleted => "Account deleted",
        EndReason::TokenReuse => "Refresh token used twice",
        EndReason::Expired => "Expired",
        EndReason::Replaced => "Replaced by another sign-in",
    }
}

/// The query of the list. What it doesn't know is as if it were not there.
#[derive(serde::Deserialize)]
pub struct SessionsQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    user: String,
    cursor: Option<String>,
}

/// `GET /admin/sessions?q=…&kind=…&state=…&user=<id>&cursor=…`. A cursor that is none of this list shows its first page.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    Query(query): Query<SessionsQuery>,
) -> Answer {
    let reader = account_of(&services, &current).await?;
    let auth = current.auth_context(&reader);
    let q = query.q.trim().to_owned();
    let state: SessionState = query.state.parse().unwrap_or(SessionState::Live);
    let filter = SessionFilter {
        state,
        order: state.latest(),
        kind: query.kind.parse().ok(),
        user: query.user.parse().ok(),
        q: Some(q.clone()).filter(|q| !q.is_empty()),
    };
    let mut cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let found = match everyone::search(&services, &auth, &filter, cursor, PAGE).await {
        // Longer than anything that could be found.
        Err(Error::Invalid(errors)) if errors.of("q").is_some() => SessionPage::default(),
        Err(Error::Invalid(_)) => {
            cursor = None;
            everyone::search(&services, &auth, &filter, None, PAGE).await?
        }
        other => other?,
    };
    let user = match filter.user {
        Some(id) => Some(Whose::of(&services, &auth, id, &found.sessions).await?),
        None => None,
    };
    let list = |state: SessionState, cursor: &str| {
        let user = filter.user.map(|user| user.to_string()).unwrap_or_default();
        let state = if state == SessionState::Live { "" } else { state.as_str() };
        let kind = filter.kind.map_or("", SessionKind::as_str);
        url(LIST, &[("q", &q), ("kind", kind), ("state", state), ("user", &user), ("cursor", cursor)])
    };
    let now = services.clock.now();
    let filtered = filter.q.is_some() || filter.kind.is_some() || filter.user.is_some();
    let totals = match filter.user {
        Some(id) => counts::active(account::live(&services, id, 0).await?.1.into(), ""),
        None => {
            let all = !filtered && state == SessionState::Live;
            counts::active(sessions::counts::open(&services, &auth).await?, if all { "" } else { " in all accounts" })
        }
    };
    let here = list(state, cursor.unwrap_or_default());
    let sessions: Vec<_> = found
        .sessions
        .into_iter()
        .map(|listed| ListedSessionRow::new(listed, &auth, current.session.id, now))
        .collect();
    let template = SessionsPage {
        totals,
        kinds: kinds(filter.kind),
        states: states(filter.state),
        state: filter.state,
        user,
        filtered,
        first: cursor.map(|_| list(state, "")),
        next: found.next.as_deref().map(|next| list(state, next)),
        ended: list(SessionState::Ended, ""),
        pickable: sessions.iter().any(|session| session.can_end),
        back: (here != LIST).then_some(here),
        sessions,
        layout: AdminLayout::new(&reader, &current, &request, LIST, FormErrors::none()),
        q,
    };
    page(StatusCode::OK, &template)
}

fn kinds(chosen: Option<SessionKind>) -> Vec<Choice> {
    let choice = |of: &SessionKind| Choice { value: of.as_str(), title: kind(*of), selected: chosen == Some(*of) };
    SessionKind::ALL.iter().map(choice).collect()
}

fn states(chosen: SessionState) -> Vec<Choice> {
    let choice = |state: &SessionState| Choice {
        value: state.as_str(),
        title: match state {
            SessionState::Live => "Live",
            SessionState::Ended => "Ended",
            SessionState::All => "Live and ended",
        },
        selected: chosen == *state,
    };
    SessionState::ALL.iter().map(choice).collect()
}
