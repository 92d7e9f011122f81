//! `/admin/users/{id}`: one account, what can be done to it and what happened to it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::typed::{TypedQuery, password_first};
use super::{GIVES_UP, administers, last_sign_in, roles};
use crate::domain::audit::Client;
use crate::domain::{User, UserId};
use crate::http::client_address::ClientInfo;
use crate::http::current_user::{CurrentUser, confirm_url};
use crate::http::flash::{self, Flash, Notice};
use crate::http::forms::{Form, Sent};
use crate::http::parameters::{PathParam, Query};
use crate::http::problem::{Problem, wants_json};
use crate::http::step_up::SteppedUp;
use crate::services::accounts::{links, lookup};
use crate::services::administration::users::{self, UserChange};
use crate::services::authentication::lockout;
use crate::services::authorization::Subject;
use crate::services::sessions::account;
use crate::services::sessions::counts::OpenSessions;
use crate::services::{RecentProof, Services, audit};
use crate::web::audit::event_text::EventRow;
use crate::web::field::Field;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::list::Choice;
use crate::web::sessions::counts;
use crate::web::sessions::own::SessionRow;
use crate::web::time_tag::{TimeTag, date, time_tag};
use crate::web::{Answer, see_other};

/// Sessions shown.
const SESSIONS: i64 = 5;

/// Events shown.
const EVENTS: i64 = 8;

#[derive(Template)]
#[template(path = "administration/user.html")]
struct UserPage {
    layout: AdminLayout,
    id: UserId,
    username: String,
    display_name: String,
    email: String,
    /// Whether the account is the reader's own.
    own: bool,
    role: &'static str,
    active: bool,
    /// Until when, where wrong passwords have locked it.
    locked: Option<TimeTag>,
    has_password: bool,
    last_sign_in: Option<TimeTag>,
    created: TimeTag,
    /// What an administrator may change; a manager only looks.
    editor: Option<Editor>,
    /// Whether the reader may end its sessions.
    reached: bool,
    /// Open sessions; the same as a number to read.
    open: i64,
    total: String,
    /// Of which kinds those are.
    kinds: String,
    sessions: Vec<SessionRow>,
    events: Vec<EventRow>,
    /// A link to hand over, shown once.
    link: Option<String>,
}

/// The forms of an administrator.
struct Editor {
    /// Where to enter the password first, where that was too long ago.
    confirm: Option<String>,
    version: String,
    name: Field,
    email: Field,
    username: Field,
    roles: Vec<Choice>,
}

/// What the form says, as it was typed; what is not sent stays as it is.
#[derive(Default, serde::Deserialize)]
pub struct UserForm {
    name: Option<String>,
    email: Option<String>,
    username: Option<String>,
    /// What was on the page that was edited.
    rev: Option<String>,
}

/// `GET /admin/users/{id}`.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    PathParam(id): PathParam<UserId>,
    Query(query): Query<TypedQuery>,
    Flash(notice): Flash,
) -> Answer {
    let reader = account_of(&services, &current).await?;
    let user = lookup::by_id(&services.database, id).await?;
    let link = match notice {
        Some(Notice::ResetLink(of, token)) if of == id => Some(links::reset_url(&services.settings, &token.0)),
        _ => None,
    };
    let (form, form_errors) = query.form::<UserForm>(&services, &current, request.path());
    user_page(&request, &services, &current, &reader, user, &form, form_errors, link).await
}

/// `POST /admin/users/{id}`. Where the password is asked for first, what was typed is kept.
pub async fn update(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    recent: Result<SteppedUp, actix_web::Error>,
    account: Result<PathParam<UserId>, Problem>,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<UserForm>,
) -> Result<HttpResponse, actix_web::Error> {
    match recent {
        // What there is, is told to those who may ask.
        Ok(recent) => Ok(update_user(&request, &services, &recent, account?.0, &client, sent).await?),
        Err(refusal) if wants_json(&request) => Err(refusal),
        Err(_) => {
            let (Sent::Good(form) | Sent::Stale(form)) = sent;
            let UserForm { name, email, username, rev } = &form;
            let fields = [("name", name), ("email", email), ("username", username), ("rev", rev)];
            let sent: Vec<_> = fields.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
            Ok(password_first(&services, &current, request.path(), &sent))
        }
    }
}

async fn update_user(
    request: &HttpRequest,
    services: &Services,
    recent: &SteppedUp,
    id: UserId,
    client: &Client,
    sent: Sent<UserForm>,
) -> Answer {
    let reader = account_of(services, &recent.user).await?;
    let form = match sent {
        Sent::Good(form) => form,
        Sent::Stale(form) => {
            let user = lookup::by_id(&services.database, id).await?;
            let form_errors = FormErrors::stale();
            return user_page(request, services, &recent.user, &reader, user, &form, form_errors, None).await;
        }
    };
    let change = UserChange { username: form.username.clone(), email: form.email.clone(), name: form.name.clone() };
    let subject = form.rev.clone().map_or_else(|| id.into(), |version| Subject::seen(id, vec![version]));
    match users::update(services, &recent.auth_context(&reader), subject, change, client).await {
        Ok(_) => {
            flash::set(request, Notice::UserSaved);
            Ok(see_other(&format!("/admin/users/{id}")))
        }
        Err(error) => {
            let form_errors = FormErrors::of(error)?;
            let user = lookup::by_id(&services.database, id).await?;
            user_page(request, services, &recent.user, &reader, user, &form, form_errors, None).await
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "all of them are shown")]
pub(super) async fn user_page(
    request: &HttpRequest,
    services: &Services,
    current: &CurrentUser,
    reader: &User,
    user: User,
    form: &UserForm,
    form_errors: FormErrors,
    link: Option<String>,
) -> Answer {
    let auth = current.auth_context(reader);
    let (sessions, counts) = account::live(services, user.id, SESSIONS).await?;
    let events = audit::of_account(&services.database, user.id, None, EVENTS).await?;
    let locked_until = lockout::locked_until(services, user.id).await?;
    let (now, own) = (services.clock.now(), current.session.id);
    let counts = OpenSessions::from(counts);
    let status = form_errors.status;
    let template = UserPage {
        id: user.id,
        username: user.username.as_str().to_owned(),
        display_name: user.display_name().to_owned(),
        email: user.email.as_str().to_owned(),
        own: user.id == reader.id,
        role: user.role.title(),
        active: user.is_active(),
        locked: locked_until.map(|until| time_tag(until, now)),
        has_password: user.has_password,
        last_sign_in: last_sign_in(&user, now),
        created: date(user.created_at),
        editor: administers(&auth).then(|| Editor::new(services, current, &user, form, &form_errors)),
        reached: auth.reaches(&user),
        open: counts.total().value,
        total: counts::format_figure(counts.total()),
        kinds: counts::kinds(counts),
        sessions: sessions.iter().map(|session| SessionRow::new(session, now).mark(own)).collect(),
        events: events.into_iter().map(|event| EventRow::new(event, user.id, now)).collect(),
        link,
        layout: AdminLayout::new(reader, current, request, "/admin/users", form_errors),
    };
    page(status, &template)
}

impl Editor {
    fn new(services: &Services, current: &CurrentUser, user: &User, form: &UserForm, form_errors: &FormErrors) -> Self {
        let field = |of: fn(&str) -> Field, typed: &Option<String>, present: &str| {
            let typed = typed.as_deref().unwrap_or(present);
            let field = of(typed).of_another();
            let field = match form_errors.status.code {
                // Whoever overtook the edit is shown beside it.
                StatusCode::CONFLICT if typed == present => field,
                StatusCode::CONFLICT if present.is_empty() => field.hint("It is empty now."),
                StatusCode::CONFLICT => field.hint(format!("It is now “{present}”.")),
                _ => field,
            };
            field.refused(form_errors)
        };
        Self {
            confirm: RecentProof::of(services, &current.session)
                .is_none()
                .then(|| confirm_url(&format!("/admin/users/{}", user.id))),
            // Whoever was overtaken has compared; to all others what they began with still says what they saw.
            version: match (&form.rev, form_errors.status.code) {
                (Some(seen), code) if code != StatusCode::CONFLICT => seen.clone(),
                _ => user.version(),
            },
            name: field(Field::name, &form.name, user.name.as_deref().unwrap_or_default()),
            email: field(Field::email, &form.email, user.email.as_str()),
            username: field(Field::new_username, &form.username, user.username.as_str()),
            roles: roles(Some(user.role)),
        }
    }
}
