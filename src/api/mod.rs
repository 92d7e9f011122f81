//! The API: JSON in, JSON out, for programs. A handler extracts, calls a service and answers.
//!
//! Each file is a resource, documented where it is handled: [`document`] gathers what stands above the handlers into
//! `/openapi.json`, and [`reference`] shows that as a page. What they share: [`listing`] (lists in pages),
//! [`tokens`] (the token body and the refresh cookie).

pub mod auth;
pub mod document;
pub mod keys;
mod listing;
pub mod me;
pub mod oauth;
pub mod reference;
mod tokens;
pub mod well_known;

use actix_web::HttpResponse;

use crate::http::problem::Problem;

/// What a handler of the API gives back. A [`Problem`] becomes `application/problem+json`.
pub type Answer = Result<HttpResponse, Problem>;

fn no_content() -> Answer {
    Ok(HttpResponse::NoContent().finish())
}
