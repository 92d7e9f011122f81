//! The API: JSON in, JSON out, for programs. A handler extracts, calls a service and answers.
//!
//! The rooms are those of [`crate::services`]. Each file is a resource, documented where it is handled: [`document`]
//! gathers what stands above the handlers into `/openapi.json`. What they share: [`listing`] (lists in pages), [`texts`]
//! (what the document says of each kind of text), [`sessions::tokens`] (the token body and the refresh cookie).

pub mod accounts;
pub mod administration;
pub mod audit;
pub mod authentication;
pub mod document;
mod listing;
pub mod sessions;
mod texts;

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use actix_web::HttpResponse;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::domain::{Error, FieldError, OwnAccount, User, UserId};
use crate::http::bearer::ApiUser;
use crate::http::problem::Problem;
use crate::representations::UserShape;
use crate::services::Services;
use crate::services::accounts::lookup;
use crate::services::authentication::lockout;

/// What a handler of the API gives back. A [`Problem`] becomes `application/problem+json`.
pub type Answer = Result<HttpResponse, Problem>;

/// The body of an act whose address says all: `{}`, or none.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyBody {}

fn no_content() -> Answer {
    Ok(HttpResponse::NoContent().finish())
}

async fn user_shape(services: &Services, user: &User) -> Result<UserShape, Problem> {
    Ok(UserShape::new(user, lockout::locked_until(services, user.id).await?))
}

/// The caller's account.
async fn caller_account(services: &Services, caller: &ApiUser) -> Result<Arc<OwnAccount>, Problem> {
    own_account(services, caller.session.user_id).await
}

/// The account of somebody who is signed in. One that was deleted since the token was looked at no longer is.
async fn own_account(services: &Services, id: UserId) -> Result<Arc<OwnAccount>, Problem> {
    lookup::own(services, id).await.map_err(|error| match error {
        Error::NotFound => Error::InvalidToken.into(),
        other => other.into(),
    })
}

fn own_shape(services: &Services, account: &OwnAccount) -> UserShape {
    UserShape::new(&account.user, account.locked_until(services.clock.now()))
}

/// Tells a field that is null from one that was left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A field that may be left out but is not null: whoever meant to name something and had nothing is not taken at the
/// rest of the word.
fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The one of these words that `field` says, unless it was left out.
fn word<T: FromStr + Display>(field: &'static str, text: Option<&str>, words: &[T]) -> Result<Option<T>, FieldError> {
    text.map(|text| FieldError::one_of(field, text, words)).transpose()
}
