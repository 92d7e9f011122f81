//! `/setup/{token}`: the first administrator.

use actix_web::{HttpRequest, web};
use askama::Template;

use crate::domain::link::{LinkPurpose, LinkToken};
use crate::http::client_address::ClientInfo;
use crate::http::forms::{GuestForm, sender};
use crate::http::parameters::PathParam;
use crate::http::{device_cookie, session_cookie};
use crate::services::Services;
use crate::services::accounts::new_account::NewAccount;
use crate::services::accounts::{links, setup};
use crate::services::authentication::known_browser;
use crate::web::field::Field;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, GuestLayout, page};
use crate::web::time_tag::{TimeTag, deadline};
use crate::web::{Answer, see_other};

#[derive(Template)]
#[template(path = "accounts/setup.html")]
struct SetupPage {
    layout: GuestLayout,
    token: String,
    expires: TimeTag,
    username: Field,
    email: Field,
    password: Field,
}

/// What the form says, as it was typed.
#[derive(Default, serde::Deserialize)]
pub struct SetupForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

/// `GET /setup/{token}`. Looking does not use the link up; one that is used up or too old is 410.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    PathParam(token): PathParam<LinkToken>,
) -> Answer {
    form_page(&services, &request, &token, &SetupForm::default(), FormErrors::none()).await
}

/// `POST /setup/{token}`.
pub async fn submit(
    request: HttpRequest,
    services: web::Data<Services>,
    PathParam(token): PathParam<LinkToken>,
    ClientInfo(client): ClientInfo,
    GuestForm(mut form): GuestForm<SetupForm>,
) -> Answer {
    let account = NewAccount {
        username: form.username.clone(),
        email: form.email.clone(),
        name: None,
        password: std::mem::take(&mut form.password).into(),
    };
    let client = sender(&request, client);
    match setup::complete(&services, &token, account, &client).await {
        Ok(signed_in) => {
            session_cookie::issue(&request, &signed_in.handle, signed_in.remember);
            device_cookie::set(&request, known_browser::cookie(&services.root_key, &signed_in.user, &client));
            Ok(see_other("/account"))
        }
        Err(error) => form_page(&services, &request, &token, &form, FormErrors::of(error)?).await,
    }
}

async fn form_page(
    services: &Services,
    request: &HttpRequest,
    token: &str,
    form: &SetupForm,
    form_errors: FormErrors,
) -> Answer {
    let expires_at = links::find_setup(services, token).await?;
    let status = form_errors.status;
    let password = Field::new_password("password", "Password", services.settings.password_min_length);
    let template = SetupPage {
        token: token.to_owned(),
        expires: deadline(expires_at, services.clock.now()),
        username: Field::new_username(&form.username).refused(&form_errors).autofocus(!form_errors.is_some()),
        email: Field::email(&form.email).refused(&form_errors),
        password: password.refused(&form_errors),
        layout: GuestLayout::new(services, request, form_errors),
    };
    page(status, &template)
}
