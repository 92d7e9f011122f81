//! `/reset/{token}`: a password chosen by means of a one-time link.

use actix_web::{HttpRequest, web};
use askama::Template;

use crate::domain::link::{LinkPurpose, LinkToken};
use crate::http::client_address::ClientInfo;
use crate::http::device_cookie;
use crate::http::flash::{self, Notice};
use crate::http::forms::{GuestForm, sender};
use crate::http::parameters::PathParam;
use crate::services::Services;
use crate::services::accounts::{links, passwords};
use crate::services::authentication::known_browser;
use crate::web::field::Field;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, GuestLayout, page};
use crate::web::time_tag::{TimeTag, deadline};
use crate::web::{Answer, see_other};

#[derive(Template)]
#[template(path = "accounts/reset.html")]
struct ResetPage {
    layout: GuestLayout,
    token: String,
    username: String,
    expires: TimeTag,
    new_password: Field,
}

/// What the form says, as it was typed.
#[derive(serde::Deserialize)]
pub struct ResetForm {
    #[serde(default)]
    new_password: String,
}

/// `GET /reset/{token}`. Looking does not use the link up; one that is used up or too old is 410.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    PathParam(token): PathParam<LinkToken>,
) -> Answer {
    form_page(&services, &request, &token, FormErrors::none()).await
}

/// `POST /reset/{token}`. All sessions of the account have ended, so the next step is to sign in.
pub async fn submit(
    request: HttpRequest,
    services: web::Data<Services>,
    PathParam(token): PathParam<LinkToken>,
    ClientInfo(client): ClientInfo,
    GuestForm(form): GuestForm<ResetForm>,
) -> Answer {
    let client = sender(&request, client);
    match passwords::reset(&services, &token, &form.new_password.into(), &client).await {
        Ok(user) => {
            // The owner: strangers that lock the name on the way to `/login` are no hindrance.
            device_cookie::set(&request, known_browser::cookie(&services.root_key, &user, &client));
            flash::set(&request, Notice::PasswordReset);
            Ok(see_other("/login"))
        }
        Err(error) => form_page(&services, &request, &token, FormErrors::of(error)?).await,
    }
}

async fn form_page(services: &Services, request: &HttpRequest, token: &str, form_errors: FormErrors) -> Answer {
    let (user, expires_at) = links::find_reset(services, token).await?;
    let status = form_errors.status;
    let new_password = Field::new_password("new_password", "New password", services.settings.password_min_length);
    let template = ResetPage {
        token: token.to_owned(),
        username: user.username.as_str().to_owned(),
        expires: deadline(expires_at, services.clock.now()),
        new_password: new_password.refused(&form_errors).autofocus(!form_errors.is_some()),
        layout: GuestLayout::new(services, request, form_errors),
    };
    page(status, &template)
}
