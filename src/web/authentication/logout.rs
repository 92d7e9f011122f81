//! `/logout`: `GET` asks, `POST` does.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use crate::http::client_address::ClientInfo;
use crate::http::current_user::{CurrentUser, MaybeUser};
use crate::http::flash::{self, Notice};
use crate::http::forms::{Form, Sent};
use crate::http::session_cookie;
use crate::services::Services;
use crate::services::sessions::own;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AccountLayout, account_of, page};
use crate::web::{Answer, Nothing, see_other};

#[derive(Template)]
#[template(path = "authentication/logout.html")]
struct LogoutPage {
    layout: AccountLayout,
}

/// `GET /logout`. Someone who is signed out already has nothing to be asked.
pub async fn show(request: HttpRequest, services: web::Data<Services>, user: MaybeUser) -> Answer {
    let Some(current) = user.0 else { return Ok(see_other("/login")) };
    question(&services, &request, &current, FormErrors::none()).await
}

async fn question(
    services: &Services,
    request: &HttpRequest,
    current: &CurrentUser,
    form_errors: FormErrors,
) -> Answer {
    let user = account_of(services, current).await?;
    let status = form_errors.status;
    page(status, &LogoutPage { layout: AccountLayout::new(&user, current, request, "/logout", form_errors) })
}

/// `POST /logout`. Who is signed out already is told so too: it may be the second click.
pub async fn submit(
    request: HttpRequest,
    services: web::Data<Services>,
    user: MaybeUser,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<Nothing>,
) -> Answer {
    let Some(current) = user.0 else { return Ok(signed_out(&request)) };
    let Sent::Good(Nothing {}) = sent else {
        return question(&services, &request, &current, FormErrors::stale()).await;
    };
    own::sign_out(&services, &current.caller(), &client).await?;
    Ok(signed_out(&request))
}

fn signed_out(request: &HttpRequest) -> HttpResponse {
    session_cookie::remove(request);
    flash::set(request, Notice::SignedOut);
    see_other("/login")
}
