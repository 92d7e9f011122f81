//! The frame around every page, and the one place where a template becomes an answer.

use actix_web::http::header::{ContentType, RETRY_AFTER};
use actix_web::{FromRequest as _, HttpRequest, HttpResponse};
use askama::Template;

use super::form_errors::{FormErrors, Status};
use super::number::number;
use super::{Answer, assets};
use crate::domain::form_seed::FormId;
use crate::domain::{Error, Role, User};
use crate::http::current_user::CurrentUser;
use crate::http::flash::{Flash, Notice};
use crate::http::problem::Problem;
use crate::services::Services;
use crate::services::accounts::lookup;

/// A page with this status, or with that of a [`FormErrors`].
pub fn page(status: impl Into<Status>, template: &impl Template) -> Answer {
    let body = template.render().map_err(|error| Problem::from(Error::internal(error)))?;
    let Status { code, retry_after } = status.into();
    let mut response = HttpResponse::build(code);
    if let Some(seconds) = retry_after {
        response.insert_header((RETRY_AFTER, seconds));
    }
    Ok(response.content_type(ContentType::html()).body(body))
}

/// The frame of pages for people who are not signed in: the raised gate, one panel, the public host at the foot.
pub struct GuestLayout {
    pub host: String,
    /// A notice left by the answer before this one.
    pub notice: Option<String>,
    /// The one-time token of the page's form.
    pub form_id: FormId,
    /// Why the page's form comes back, if it does.
    pub form_errors: FormErrors,
}

impl GuestLayout {
    pub fn new(services: &Services, request: &HttpRequest, form_errors: FormErrors) -> Self {
        let host = services.settings.public_url.host().to_owned();
        Self { host, notice: notice(request), form_id: FormId::generate(), form_errors }
    }
}

/// The frame of pages for the signed-in: the lintel, and the tabs of the area to which `tab` belongs.
pub struct SignedInLayout {
    pub username: String,
    pub csrf_token: String,
    /// The one-time token of those of the page's forms that are given a secret.
    pub form_id: FormId,
    pub notice: Option<String>,
    pub form_errors: FormErrors,
    /// The reader's present role: what it can't open is left out.
    pub role: Role,
    /// The path of the tab where the page belongs.
    tab: &'static str,
}

/// The frame of pages about the reader's own account.
pub type AccountLayout = SignedInLayout;
/// The frame of pages that administer: their tabs begin with `/admin`.
pub type AdminLayout = SignedInLayout;

impl SignedInLayout {
    pub fn new(
        user: &User,
        current: &CurrentUser,
        request: &HttpRequest,
        tab: &'static str,
        form_errors: FormErrors,
    ) -> Self {
        Self {
            username: user.username.as_str().to_owned(),
            csrf_token: current.csrf_token.clone(),
            form_id: FormId::generate(),
            notice: notice(request),
            form_errors,
            role: current.session.role,
            tab,
        }
    }

    /// Whether the page belongs to the administration.
    pub fn is_admin_area(&self) -> bool {
        self.tab.starts_with("/admin")
    }

    /// Whether there is an administration to go to.
    pub fn sees_admin_area(&self) -> bool {
        self.role.reaches(Role::Manager)
    }

    /// The tabs of the area that the role opens: path and title.
    pub fn tabs(&self) -> &'static [(&'static str, &'static str)] {
        match self.is_admin_area() {
            false => ACCOUNT_TABS,
            true if self.role.reaches(Role::Admin) => ADMIN_TABS,
            true => ADMIN_TABS.get(..TABS_OF_MANAGERS).unwrap_or(ADMIN_TABS),
        }
    }

    pub fn is_current(&self, path: &str) -> bool {
        self.tab == path
    }
}

const ACCOUNT_TABS: &[(&str, &str)] = &[
    ("/account", "Overview"),
    ("/account/sessions", "Sessions"),
    ("/account/password", "Password"),
    ("/account/profile", "Profile"),
    ("/account/activity", "Activity"),
];

const ADMIN_TABS: &[(&str, &str)] = &[
    ("/admin", "Dashboard"),
    ("/admin/users", "Users"),
    ("/admin/sessions", "Sessions"),
    ("/admin/audit", "Audit log"),
    ("/admin/keys", "Keys"),
    ("/admin/settings", "Settings"),
];

/// So many of them, from the first, are for managers too.
const TABS_OF_MANAGERS: usize = 4;

/// The signed-in person's account. One that was deleted since the session was looked up is no longer signed in.
pub async fn account_of(services: &Services, current: &CurrentUser) -> Result<User, Problem> {
    let account = lookup::own(services, current.session.user_id).await.map_err(|error| match error {
        Error::NotFound => Problem::from(Error::NotSignedIn),
        other => other.into(),
    })?;
    Ok(account.user.clone())
}

/// The notice that the answer before this one left, in words.
fn notice(request: &HttpRequest) -> Option<String> {
    let Ok(Flash(notice)) = Flash::extract(request).into_inner();
    notice.and_then(|notice| {
        Some(match notice {
            Notice::SignedOut => "You are signed out.".to_owned(),
            Notice::SessionEnded => "The session has ended.".to_owned(),
            Notice::OthersEnded(0) => "There was no other session to end.".to_owned(),
            Notice::OthersEnded(1) => "Your other session has ended.".to_owned(),
            Notice::OthersEnded(count) => format!("Your {} other sessions have ended.", number(count)),
            Notice::PasswordChanged => "Your password is changed. All other sessions have ended.".to_owned(),
            Notice::PasswordReset => "Your password is set. Sign in with it.".to_owned(),
            Notice::ProfileSaved => "Your profile is saved.".to_owned(),
            Notice::SessionsEnded(0) => "There was no session to end.".to_owned(),
            Notice::SessionsEnded(1) => "1 session has ended.".to_owned(),
            Notice::SessionsEnded(count) => format!("{} sessions have ended.", number(count)),
            Notice::UserSaved => "The profile is saved.".to_owned(),
            Notice::RoleChanged => "The role is changed. It counts from the next request on.".to_owned(),
            Notice::UserSuspended => "The account is suspended. All its sessions have ended.".to_owned(),
            Notice::UserReinstated => "The account is reinstated. Its owner can sign in again.".to_owned(),
            Notice::UserUnlocked => "The account is unlocked.".to_owned(),
            Notice::KeyRotated => "The next key signs from now on. What the former one signed stays good.".to_owned(),
            Notice::UserDeleted => "The account is deleted. All its sessions have ended.".to_owned(),
            Notice::ResetLink(..) => return None, // the account's page shows it
        })
    })
}

/// The URL of a static file, for templates.
pub fn asset(name: &str) -> &'static str {
    assets::url(name)
}

/// The version at the foot of every page of the signed-in.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
