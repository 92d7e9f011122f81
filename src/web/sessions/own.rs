//! `/account/sessions`: everywhere the person is signed in.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::counts;
use crate::domain::audit::Client;
use crate::domain::device::DeviceKind;
use crate::domain::{Session, SessionId, SessionKind, Timestamp};
use crate::http::client_address::ClientInfo;
use crate::http::current_user::CurrentUser;
use crate::http::flash::{self, Notice};
use crate::http::forms::{Form, Sent};
use crate::http::parameters::{PathParam, Query};
use crate::http::session_cookie;
use crate::services::Services;
use crate::services::sessions::counts::OpenSessions;
use crate::services::sessions::{account, own};
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AccountLayout, account_of, page};
use crate::web::time_tag::{TimeTag, time_tag};
use crate::web::{Answer, Nothing, see_other};

/// Other sessions on a page, and how many more each "show more" adds.
const STEP: i64 = 50;

/// The most on one page, however many there are: a page stays small enough to hold in memory and to read.
const MOST: i64 = 500;

#[derive(Template)]
#[template(path = "sessions/own.html")]
struct SessionsPage {
    layout: AccountLayout,
    here: SessionRow,
    others: Vec<SessionRow>,
    /// Besides this one.
    total: i64,
    /// Of which kinds those are.
    kinds: String,
    /// The `limit` that shows more of them.
    more: Option<i64>,
}

/// The query of the list.
#[derive(serde::Deserialize)]
pub struct SessionsQuery {
    limit: Option<String>,
}

/// A session as its owner reads it.
pub struct SessionRow {
    pub id: SessionId,
    pub device: String,
    /// The drawing for it: the `d` of an SVG path in a box of 24.
    pub icon: &'static str,
    pub kind: &'static str,
    pub address: String,
    pub signed_in: TimeTag,
    pub last_active: TimeTag,
    pub expires: TimeTag,
    /// Marked as the session in which it is read.
    pub here: bool,
}

impl SessionRow {
    pub fn new(session: &Session, now: Timestamp) -> Self {
        Self {
            id: session.id,
            device: session.device.clone(),
            icon: icon(session.kind, &session.device),
            kind: match session.kind {
                SessionKind::Browser => "Browser",
                SessionKind::Api => "API",
            },
            address: session.address.clone(),
            signed_in: time_tag(session.created_at, now),
            last_active: time_tag(session.last_active_at, now),
            expires: time_tag(session.expires_at(), now),
            here: false,
        }
    }

    /// In a list with others: whether it is the reader's session.
    pub fn mark(self, own: SessionId) -> Self {
        Self { here: self.id == own, ..self }
    }
}

/// The session that asks, taken from among the `listed` ones. It is active now, whatever the list says yet; where it
/// is not listed for being too far down, the request tells device and address.
pub fn take_current(
    listed: &mut Vec<Session>,
    current: &CurrentUser,
    client: &Client,
    services: &Services,
    now: Timestamp,
) -> Session {
    let live = &current.session;
    let known = listed.iter().position(|session| session.id == live.id).map(|index| listed.remove(index));
    let (device, address) = match known {
        Some(session) => (session.device, session.address),
        None => (
            client.device.clone().unwrap_or_else(|| "This browser".to_owned()),
            client.address.map(|address| address.to_string()).unwrap_or_default(),
        ),
    };
    Session {
        core: live.core,
        device,
        address,
        last_active_at: now,
        idle: services.settings.lifetime(live.remember).idle,
        ended: None,
    }
}

/// `GET /account/sessions?limit=…`. A limit that is none is the least.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    ClientInfo(client): ClientInfo,
    Query(query): Query<SessionsQuery>,
) -> Answer {
    let limit = query.limit.and_then(|limit| limit.parse().ok()).unwrap_or(STEP).clamp(STEP, MOST);
    list_page(&request, &services, &current, &client, limit, FormErrors::none()).await
}

async fn list_page(
    request: &HttpRequest,
    services: &Services,
    current: &CurrentUser,
    client: &Client,
    limit: i64,
    form_errors: FormErrors,
) -> Answer {
    let user = account_of(services, current).await?;
    let now = services.clock.now();
    let (mut sessions, counts) = account::live(services, user.id, limit + 1).await?;
    let here = take_current(&mut sessions, current, client, services, now);
    let counts = OpenSessions::from(counts).others();
    let total = counts.total().value;
    let status = form_errors.status;
    let template = SessionsPage {
        layout: AccountLayout::new(&user, current, request, "/account/sessions", form_errors),
        here: SessionRow::new(&here, now),
        others: sessions.iter().map(|session| SessionRow::new(session, now)).collect(),
        more: (total > limit && limit < MOST).then_some(limit + STEP),
        total,
        kinds: counts::kinds(counts),
    };
    page(status, &template)
}

/// `POST /account/sessions/{id}/end`. Another's session is as unknown as one that never was.
pub async fn end(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    PathParam(id): PathParam<SessionId>,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<Nothing>,
) -> Answer {
    let Sent::Good(Nothing {}) = sent else {
        return list_page(&request, &services, &current, &client, STEP, FormErrors::stale()).await;
    };
    own::end(&services, &current.caller(), id, &client).await?;
    if id == current.session.id {
        session_cookie::remove(&request);
        flash::set(&request, Notice::SignedOut);
        return Ok(see_other("/login"));
    }
    flash::set(&request, Notice::SessionEnded);
    Ok(see_other("/account/sessions"))
}

/// `POST /account/sessions/end-others`.
pub async fn end_others(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<Nothing>,
) -> Answer {
    let Sent::Good(Nothing {}) = sent else {
        return list_page(&request, &services, &current, &client, STEP, FormErrors::stale()).await;
    };
    let count = own::end_others(&services, &current.caller(), &client).await?;
    flash::set(&request, Notice::OthersEnded(count));
    Ok(see_other("/account/sessions"))
}

/// A terminal for programs, a telephone or a computer for browsers.
fn icon(kind: SessionKind, device: &str) -> &'static str {
    match (kind, DeviceKind::of_label(device)) {
        (SessionKind::Api, _) | (_, DeviceKind::Program) => "M3 5h18v14H3zM6.500 9.500l3 2.500-3 2.500M12 15h5",
        (SessionKind::Browser, DeviceKind::Phone) => "M7.500 3h9v18h-9zM11 18h2",
        (SessionKind::Browser, DeviceKind::Desktop) => "M5 5.500h14v9.500H5zM2.500 18.500h19",
    }
}
