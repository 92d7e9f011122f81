//! `/confirm`: the password again, before a sensitive act.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::reauth_purpose::ReauthPurpose;
use crate::domain::clock::duration;
use crate::http::client_address::ClientInfo;
use crate::http::current_user::CurrentUser;
use crate::http::forms::{Form, Sent, sender};
use crate::http::parameters::Query;
use crate::http::session_cookie;
use crate::services::Services;
use crate::services::authentication::reauthentication;
use crate::web::field::Field;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, SignedInLayout, account_of, page};
use crate::web::next::{self, NextQuery};
use crate::web::{Answer, see_other};

#[derive(Template)]
#[template(path = "authentication/confirm.html")]
struct ConfirmPage {
    layout: SignedInLayout,
    /// Where to go on, and what for, where that is known.
    next: String,
    purpose: Option<ReauthPurpose>,
    /// How long an entry of the password is good for.
    window: String,
    password: Field,
}

/// What the form says, as it was typed.
#[derive(serde::Deserialize)]
pub struct ConfirmForm {
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

/// `GET /confirm?next=…`.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    Query(query): Query<NextQuery>,
) -> Answer {
    form_page(&services, &request, &current, &query.next, FormErrors::none()).await
}

/// `POST /confirm`. The session has a new secret from then on, even where a store could not be told yet.
pub async fn submit(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<ConfirmForm>,
) -> Answer {
    let form = match sent {
        Sent::Good(form) => form,
        Sent::Stale(form) => return form_page(&services, &request, &current, &form.next, FormErrors::stale()).await,
    };
    let client = sender(&request, client);
    match reauthentication::confirm(&services, &current.caller(), &form.password.into(), &client).await {
        Ok(new) => {
            session_cookie::issue(&request, &new.handle, new.remember);
            new.delivered?;
            Ok(see_other(next::or_default(&form.next, services.settings.public_url.as_str())))
        }
        Err(error) => form_page(&services, &request, &current, &form.next, FormErrors::of(error)?).await,
    }
}

async fn form_page(
    services: &Services,
    request: &HttpRequest,
    current: &CurrentUser,
    next: &str,
    form_errors: FormErrors,
) -> Answer {
    let user = account_of(services, current).await?;
    let status = form_errors.status;
    let next = next::or_default(next, services.settings.public_url.as_str());
    let purpose = ReauthPurpose::of(services, &user, next).await?;
    let tab = purpose.as_ref().map_or("/confirm", |purpose| purpose.tab);
    let template = ConfirmPage {
        next: next.to_owned(),
        purpose,
        window: duration(services.settings.reauthentication_window),
        password: Field::current_password("password", "Password").refused(&form_errors).autofocus(true),
        layout: SignedInLayout::new(&user, current, request, tab, form_errors),
    };
    page(status, &template)
}
