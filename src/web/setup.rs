//! `/setup/{token}`: the first administrator.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::field::Field;
use super::layout::{self, GuestLayout, page};
use super::moment::{Moment, deadline};
use super::refusal::Refusal;
use super::{Answer, see_other};
use crate::http::client_address::ClientInfo;
use crate::http::forms::GuestForm;
use crate::http::parameters::PathParam;
use crate::http::{device_cookie, session_cookie};
use crate::services::Services;
use crate::services::accounts::NewAccount;

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    layout: GuestLayout,
    token: String,
    expires: Moment,
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
pub async fn show(request: HttpRequest, services: web::Data<Services>, PathParam(token): PathParam<String>) -> Answer {
    form_page(&services, &request, &token, &SetupForm::default(), Refusal::none()).await
}

/// `POST /setup/{token}`.
pub async fn submit(
    request: HttpRequest,
    services: web::Data<Services>,
    PathParam(token): PathParam<String>,
    ClientInfo(client): ClientInfo,
    GuestForm(mut form): GuestForm<SetupForm>,
) -> Answer {
    let account = NewAccount {
        username: form.username.clone(),
        email: form.email.clone(),
        name: None,
        password: std::mem::take(&mut form.password).into(),
    };
    match services.complete_setup(&token, account, &client).await {
        Ok(signed_in) => {
            session_cookie::issue(&request, &signed_in.handle, signed_in.remember);
            device_cookie::set(&request, services.device_cookie(&signed_in.user, &client));
            Ok(see_other("/account"))
        }
        Err(error) => form_page(&services, &request, &token, &form, Refusal::of(error)?).await,
    }
}

async fn form_page(
    services: &Services,
    request: &HttpRequest,
    token: &str,
    form: &SetupForm,
    refusal: Refusal,
) -> Answer {
    let expires_at = services.setup_link(token).await?;
    let status = refusal.status;
    let password = Field::new_password("password", "Password", services.settings.password_min_length);
    let template = SetupPage {
        token: token.to_owned(),
        expires: deadline(expires_at, services.clock.now()),
        username: Field::new_username(&form.username).refused(&refusal).autofocus(!refusal.is_some()),
        email: Field::email(&form.email).refused(&refusal),
        password: password.refused(&refusal),
        layout: GuestLayout::new(services, request, refusal),
    };
    page(status, &template)
}
