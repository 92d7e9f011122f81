//! `/register`.

use actix_web::{HttpRequest, web};
use askama::Template;

use crate::domain::Error;
use crate::http::client_address::ClientInfo;
use crate::http::current_user::{CurrentUser, MaybeUser};
use crate::http::forms::{GuestForm, sender};
use crate::http::{device_cookie, session_cookie};
use crate::services::Services;
use crate::services::accounts::new_account::NewAccount;
use crate::services::accounts::registration;
use crate::services::authentication::known_browser;
use crate::web::field::Field;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, GuestLayout, page};
use crate::web::{Answer, next, see_other};

#[derive(Template)]
#[template(path = "accounts/register.html")]
struct RegisterPage {
    layout: GuestLayout,
    username: Field,
    email: Field,
    name: Field,
    password: Field,
}

/// What the form says, as it was typed.
#[derive(Default, serde::Deserialize)]
pub struct RegisterForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
}

/// `GET /register`. 403 while registration is closed.
pub async fn show(request: HttpRequest, services: web::Data<Services>, user: MaybeUser) -> Answer {
    if user.0.is_some() {
        return Ok(see_other(next::DEFAULT));
    }
    if !registration::is_open(&services).await? {
        return Err(Error::RegistrationClosed.into());
    }
    form_page(&services, &request, &RegisterForm::default(), FormErrors::none())
}

/// `POST /register`. Over a live session of the same browser the new one takes its place.
pub async fn submit(
    request: HttpRequest,
    services: web::Data<Services>,
    user: MaybeUser,
    ClientInfo(client): ClientInfo,
    GuestForm(mut form): GuestForm<RegisterForm>,
) -> Answer {
    let replaces = user.0.as_ref().map(CurrentUser::caller);
    let account = NewAccount {
        username: form.username.clone(),
        email: form.email.clone(),
        name: (!form.name.trim().is_empty()).then(|| form.name.clone()),
        password: std::mem::take(&mut form.password).into(),
    };
    let client = sender(&request, client);
    match registration::register(&services, account, replaces.as_ref(), &client).await {
        Ok(signed_in) => {
            session_cookie::issue(&request, &signed_in.handle, signed_in.remember);
            device_cookie::set(&request, known_browser::cookie(&services.root_key, &signed_in.user, &client));
            Ok(see_other("/account"))
        }
        Err(error) => form_page(&services, &request, &form, FormErrors::of(error)?),
    }
}

fn form_page(services: &Services, request: &HttpRequest, form: &RegisterForm, form_errors: FormErrors) -> Answer {
    let status = form_errors.status;
    let password = Field::new_password("password", "Password", services.settings.password_min_length);
    let template = RegisterPage {
        username: Field::new_username(&form.username).refused(&form_errors).autofocus(!form_errors.is_some()),
        email: Field::email(&form.email).refused(&form_errors),
        name: Field::name(&form.name).refused(&form_errors),
        password: password.refused(&form_errors),
        layout: GuestLayout::new(services, request, form_errors),
    };
    page(status, &template)
}
