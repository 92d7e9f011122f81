//! `/login`.

use actix_web::{HttpRequest, web};
use askama::Template;

use crate::domain::clock::duration;
use crate::http::client_address::ClientInfo;
use crate::http::current_user::{CurrentUser, MaybeUser};
use crate::http::forms::{GuestForm, sender};
use crate::http::parameters::Query;
use crate::http::{device_cookie, session_cookie};
use crate::services::Services;
use crate::services::accounts::{registration, setup};
use crate::services::authentication::{known_browser, sign_in};
use crate::web::field::Field;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, GuestLayout, page};
use crate::web::next::{self, NextQuery};
use crate::web::{Answer, see_other};

#[derive(Template)]
#[template(path = "authentication/login.html")]
struct LoginPage {
    layout: GuestLayout,
    /// Where to go on, if not to the account.
    next: Option<String>,
    username: Field,
    password: Field,
    remember: bool,
    /// The longest that "keep me signed in" lasts, and how long without use.
    remember_absolute: String,
    remember_idle: String,
    registration_open: bool,
    /// Nobody can register or administer yet.
    administrator_missing: bool,
}

/// What the form says, as it was typed.
#[derive(Default, serde::Deserialize)]
pub struct LoginForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    /// Present when the box is ticked; scripts say `false` when it isn't.
    #[serde(default)]
    remember: String,
    #[serde(default)]
    next: String,
}

impl LoginForm {
    fn remembers(&self) -> bool {
        !["", "false", "0", "off", "no"].contains(&self.remember.to_ascii_lowercase().as_str())
    }
}

/// `GET /login`. Someone signed in goes to the account.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    user: MaybeUser,
    Query(query): Query<NextQuery>,
) -> Answer {
    if user.0.is_some() {
        return Ok(see_other(next::DEFAULT));
    }
    let form = LoginForm { next: query.next, ..LoginForm::default() };
    form_page(&services, &request, &form, FormErrors::none()).await
}

/// `POST /login`. Over a live session of the same browser the new one takes its place.
pub async fn submit(
    request: HttpRequest,
    services: web::Data<Services>,
    user: MaybeUser,
    ClientInfo(client): ClientInfo,
    GuestForm(mut form): GuestForm<LoginForm>,
) -> Answer {
    let replaces = user.0.as_ref().map(CurrentUser::caller);
    let password = std::mem::take(&mut form.password).into();
    let remember = form.remembers();
    let client = sender(&request, client);
    match sign_in::browser(&services, &form.username, &password, remember, replaces.as_ref(), &client).await {
        Ok(signed_in) => {
            session_cookie::issue(&request, &signed_in.handle, signed_in.remember);
            device_cookie::set(&request, known_browser::cookie(&services.root_key, &signed_in.user, &client));
            Ok(see_other(next::or_default(&form.next, services.settings.public_url.as_str())))
        }
        Err(error) => form_page(&services, &request, &form, FormErrors::of(error)?).await,
    }
}

async fn form_page(services: &Services, request: &HttpRequest, form: &LoginForm, form_errors: FormErrors) -> Answer {
    let registration_open = registration::is_open(services).await?;
    let next = next::or_default(&form.next, services.settings.public_url.as_str());
    let lifetime = services.settings.lifetime(true);
    let status = form_errors.status;
    let username = Field::text("username", "Username or e-mail", "username", &form.username);
    let password = Field::current_password("password", "Password");
    let template = LoginPage {
        next: (next != next::DEFAULT).then(|| next.to_owned()),
        username: username.refused(&form_errors).autofocus(!form_errors.is_some()),
        password: password.refused(&form_errors).autofocus(form_errors.is_some()),
        remember: form.remembers(),
        remember_absolute: duration(lifetime.absolute),
        remember_idle: duration(lifetime.idle),
        registration_open,
        administrator_missing: !registration_open && !setup::administrator_exists(&services.database).await?,
        layout: GuestLayout::new(services, request, form_errors),
    };
    page(status, &template)
}
