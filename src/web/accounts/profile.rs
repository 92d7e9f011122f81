//! `/account/profile`.

use actix_web::{HttpRequest, web};
use askama::Template;

use crate::domain::User;
use crate::http::client_address::ClientInfo;
use crate::http::current_user::CurrentUser;
use crate::http::flash::{self, Notice};
use crate::http::forms::{Form, Sent};
use crate::services::Services;
use crate::services::accounts::profile::{self, ProfileChange};
use crate::web::field::Field;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AccountLayout, account_of, page};
use crate::web::{Answer, see_other};

#[derive(Template)]
#[template(path = "accounts/profile.html")]
struct ProfilePage {
    layout: AccountLayout,
    name: Field,
    email: Field,
    current_password: Field,
}

/// What the form says, as it was typed.
#[derive(serde::Deserialize)]
pub struct ProfileForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    current_password: String,
}

/// `GET /account/profile`.
pub async fn show(request: HttpRequest, services: web::Data<Services>, current: CurrentUser) -> Answer {
    let user = account_of(&services, &current).await?;
    let name = user.name.clone().unwrap_or_default();
    form_page(&request, &current, &user, &name, user.email.as_str(), FormErrors::none())
}

/// `POST /account/profile`.
pub async fn submit(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<ProfileForm>,
) -> Answer {
    let form = match sent {
        Sent::Good(form) => form,
        Sent::Stale(form) => {
            let user = account_of(&services, &current).await?;
            return form_page(&request, &current, &user, &form.name, &form.email, FormErrors::stale());
        }
    };
    let change = ProfileChange {
        name: Some(form.name.clone()),
        email: Some(form.email.clone()),
        current_password: (!form.current_password.is_empty()).then(|| form.current_password.into()),
    };
    match profile::update(&services, &current.caller(), change, &client).await {
        Ok(_) => {
            flash::set(&request, Notice::ProfileSaved);
            Ok(see_other("/account/profile"))
        }
        Err(error) => {
            let form_errors = FormErrors::of(error)?;
            let user = account_of(&services, &current).await?;
            form_page(&request, &current, &user, &form.name, &form.email, form_errors)
        }
    }
}

fn form_page(
    request: &HttpRequest,
    current: &CurrentUser,
    user: &User,
    name: &str,
    email: &str,
    form_errors: FormErrors,
) -> Answer {
    let status = form_errors.status;
    let current_password = Field::current_password("current_password", "Current password").optional();
    let template = ProfilePage {
        name: Field::name(name).refused(&form_errors),
        email: Field::email(email).refused(&form_errors),
        current_password: current_password.hint("Needed only to change the e-mail.").refused(&form_errors),
        layout: AccountLayout::new(user, current, request, "/account/profile", form_errors),
    };
    page(status, &template)
}
