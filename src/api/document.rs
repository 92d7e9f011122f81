//! `/openapi.json`: the API as OpenAPI 3.1, gathered from what stands above the handlers.
//!
//! A handler says what is its own. What every route of a kind answers (a body that can't be read, a bad token, a limit,
//! a store that is away) is added in [`answers`], from what the handler takes and from the route table; then what the
//! instance has set.

mod answers;
#[cfg(test)]
mod tests;

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use utoipa::OpenApi as _;

use super::accounts::{me, registration};
use super::administration::{stats, user_acts, users};
use super::authentication::auth;
use super::sessions::{everyone, keys, oauth, own, revoke, tokens, well_known};
use super::{audit, texts};
use crate::domain::session_list::SessionState;
use crate::http::access::Route;
use crate::http::api_document::ApiDocument;
use crate::http::cookies::{CookieNames, OurCookie};
use crate::http::problem::ProblemBody;
use crate::services::administration::users::UserSort;
use crate::settings::Settings;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Portcullis",
        description = "Sign in with JSON, call with a bearer token, refresh, and be signed out at once. Times are \
                       RFC 3339 in UTC; ids are strings; absent values are null; errors are RFC 9457 problems.",
        license(name = "GPL-3.0-or-later", identifier = "GPL-3.0-or-later"),
    ),
    paths(
        registration::register, auth::login, tokens::refresh, tokens::logout, auth::confirm,
        me::whoami, me::show, me::update, me::change_password,
        own::list, own::end, own::end_others, me::activity,
        users::list, users::create, users::show, users::update, users::delete,
        user_acts::set_role, user_acts::suspend, user_acts::reinstate, user_acts::reset_link, user_acts::unlock,
        user_acts::sessions, user_acts::end_sessions,
        everyone::list, revoke::revoke, everyone::show, everyone::end,
        audit::list, stats::show,
        keys::list, keys::rotate,
        oauth::token, oauth::revoke, oauth::introspect,
        well_known::jwks, well_known::metadata,
    ),
    // Those that no handler names in a body or an answer.
    components(schemas(
        ProblemBody, oauth::OAuthError, SessionState, UserSort,
        texts::AccountName, texts::Cursor, texts::DayOrMoment, texts::EntityTags, texts::IpAddress,
        texts::NewestFirstOrder, texts::RequestId, texts::SearchText, texts::StatusFilter,
    )),
    tags(
        (name = "auth", description = "Sign in, refresh, sign out"),
        (name = "me", description = "Your account, sessions and activity"),
        (name = "users", description = "Accounts, for managers and administrators"),
        (name = "sessions", description = "Everyone’s sessions, for managers"),
        (name = "audit", description = "What happened, for managers"),
        (name = "stats", description = "The figures of the dashboard, for managers"),
        (name = "keys", description = "The keys that sign access tokens"),
        (name = "oauth", description = "For libraries that know OAuth 2.0"),
        (name = "discovery", description = "For services that verify our tokens"),
    ),
)]
struct Annotations;

/// What all instances with these routes have in common; attempts at the paths that are `limited` are counted.
fn common(routes: &[Route], limited: &[&str]) -> Value {
    let mut document = serde_json::to_value(Annotations::openapi()).unwrap_or_default();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["components"]["securitySchemes"]["bearer"] = json!({
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token. 401 and 403 carry WWW-Authenticate (RFC 6750).",
    });
    answers::complete(&mut document, routes, limited);
    document
}

/// The document of an instance with these settings.
pub fn of(settings: &Settings, routes: &[Route], limited: &[&str]) -> Value {
    let mut document = common(routes, limited);
    document["servers"] = json!([{ "url": settings.public_url.as_str(), "description": "This server" }]);
    document["components"]["securitySchemes"]["refresh_cookie"] = json!({
        "type": "apiKey",
        "in": "cookie",
        "name": OurCookie::Refresh.name(&CookieNames::of(settings)),
        "description": "The refresh token of a browser application. Taken only from our own origin or one of \
                        cors_origins.",
    });
    document["components"]["schemas"]["NewPassword"]["minLength"] = settings.password_min_length.into();
    document
}

/// `GET /openapi.json`.
pub async fn show(document: web::Data<ApiDocument>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(document.to_string())
}
