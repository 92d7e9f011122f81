//! `/account/password`.

use actix_web::{HttpRequest, web};
use askama::Template;

use crate::http::client_address::ClientInfo;
use crate::http::current_user::CurrentUser;
use crate::http::flash::{self, Notice};
use crate::http::forms::{Form, Sent, sender};
use crate::http::{device_cookie, session_cookie};
use crate::services::Services;
use crate::services::accounts::{lookup, passwords};
use crate::services::authentication::known_browser;
use crate::services::sessions::account;
use crate::web::field::Field;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AccountLayout, account_of, page};
use crate::web::{Answer, see_other};

#[derive(Template)]
#[template(path = "accounts/password.html")]
struct PasswordPage {
    layout: AccountLayout,
    current_password: Field,
    new_password: Field,
    /// How many sessions a change will end.
    others: i64,
}

/// What the form says, as it was typed.
#[derive(serde::Deserialize)]
pub struct PasswordForm {
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    new_password: String,
}

/// `GET /account/password`.
pub async fn show(request: HttpRequest, services: web::Data<Services>, current: CurrentUser) -> Answer {
    form_page(&services, &request, &current, FormErrors::none()).await
}

/// `POST /account/password`. The session has a new secret from then on, even where a store could not be told yet.
pub async fn submit(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<PasswordForm>,
) -> Answer {
    let Sent::Good(form) = sent else { return form_page(&services, &request, &current, FormErrors::stale()).await };
    let client = sender(&request, client);
    let (old, new) = (form.current_password.into(), form.new_password.into());
    match passwords::change(&services, &current.caller(), &old, &new, &client).await {
        Ok(new) => {
            session_cookie::issue(&request, &new.handle, new.remember);
            let user = lookup::by_id(&services.database, current.session.user_id).await?;
            device_cookie::set(&request, known_browser::cookie(&services.root_key, &user, &client));
            new.delivered?;
            flash::set(&request, Notice::PasswordChanged);
            Ok(see_other("/account"))
        }
        Err(error) => form_page(&services, &request, &current, FormErrors::of(error)?).await,
    }
}

async fn form_page(
    services: &Services,
    request: &HttpRequest,
    current: &CurrentUser,
    form_errors: FormErrors,
) -> Answer {
    let user = account_of(services, current).await?;
    let (_, counts) = account::live(services, user.id, 1).await?;
    let status = form_errors.status;
    let new_password = Field::new_password("new_password", "New password", services.settings.password_min_length);
    let template = PasswordPage {
        current_password: Field::current_password("current_password", "Current password").refused(&form_errors),
        new_password: new_password.refused(&form_errors),
        others: (counts.browser + counts.api - 1).max(0),
        layout: AccountLayout::new(&user, current, request, "/account/password", form_errors),
    };
    page(status, &template)
}
