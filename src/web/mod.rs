//! Pages: server-rendered forms that work without a script. A handler extracts, calls a service and answers.
//!
//! The rooms are those of [`crate::services`]; `templates/` has the same. Each file is a group of pages with its
//! templates' structs beside the handlers. What they share: [`layout`] (the frame, and [`layout::page`]), [`field`] (an
//! input with its label, hint and error), [`form_errors`] (why a form comes back), [`list`] (what lists are narrowed by),
//! [`time_tag`] (times in words), [`number`] (counts), [`audit::event_text`] (events in words), [`sessions::counts`]
//! (numbers of sessions in words), [`next`] (where to go on), [`error_pages`].

pub mod accounts;
pub mod administration;
pub mod assets;
pub mod audit;
pub mod authentication;
pub mod docs;
pub mod error_pages;
pub mod field;
pub mod form_errors;
pub mod layout;
pub mod list;
pub mod next;
pub mod number;
pub mod sessions;
pub mod time_tag;

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;

use crate::http::current_user::MaybeUser;
use crate::http::problem::Problem;

/// What a handler of a page gives back. A [`Problem`] becomes a page in [`error_pages`].
pub type Answer = Result<HttpResponse, Problem>;

/// The form of a button that says nothing but "do it".
#[derive(serde::Deserialize)]
pub struct Nothing {}

/// 303: a `POST` is answered by the page to look at next, and a reload does not repeat it.
pub fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

/// `GET /`: to the account, or to where one signs in.
pub async fn home(user: MaybeUser) -> HttpResponse {
    see_other(if user.0.is_some() { "/account" } else { "/login" })
}

/// `GET /.well-known/change-password`: where password managers send people (W3C, "A Well-Known URL for Changing Passwords").
pub async fn change_password_url() -> HttpResponse {
    see_other("/account/password")
}
