//! `/openapi.json`: the API as OpenAPI 3.1, gathered from what stands above the handlers.
//!
//! A handler says what is its own. What every route of a kind answers (a body that can't be read, a bad token, a limit,
//! a store that is away) is added here, from what the handler takes and from the route table.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;

use super::{audit, auth, keys, me, oauth, sessions, stats, user_acts, users, well_known};
use crate::domain::Role;
use crate::domain::session_list::SessionState;
use crate::http::cookies::OurCookie;
use crate::http::problem::ProblemBody;
use crate::routes::{self, Access};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Portcullis",
        description = "Sign in with JSON, call with a bearer token, refresh, and be signed out at once. Times are \
                       RFC 3339 in UTC; ids are strings; absent values are null; errors are RFC 9457 problems.",
        license(name = "GPL-3.0-or-later", identifier = "GPL-3.0-or-later"),
    ),
    paths(
        auth::register, auth::login, auth::refresh, auth::logout, auth::confirm,
        me::whoami, me::show, me::update, me::change_password,
        me::sessions, me::end_session, me::end_other_sessions, me::activity,
        users::list, users::create, users::show, users::update, users::delete,
        user_acts::set_role, user_acts::suspend, user_acts::reinstate, user_acts::reset_link, user_acts::unlock,
        user_acts::sessions, user_acts::end_sessions,
        sessions::list, sessions::revoke, sessions::end,
        audit::list, stats::show,
        keys::list, keys::rotate,
        oauth::token, oauth::revoke, oauth::introspect,
        well_known::jwks, well_known::metadata,
    ),
    // Those that no handler names in an answer.
    components(schemas(ProblemBody, SessionState)),
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

/// The document, made once.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::to_value(Annotations::openapi()).unwrap_or_default();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token. 401 and 403 carry WWW-Authenticate (RFC 6750).",
        },
        "refresh_cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": OurCookie::Refresh.name(true),
            "description": "The refresh token of a browser application; on plain http without the prefix. Taken only \
                            from our own origin or one of cors_origins.",
        },
    });
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete(&method.to_uppercase(), path, operation);
        }
    }
    document
});

/// `GET /openapi.json`.
pub async fn show() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(DOCUMENT.to_string())
}

/// Adds what the route answers without its handler.
fn complete(method: &str, path: &str, operation: &mut Value) {
    let access =
        routes::ALL.iter().find(|route| route.method == method && route.path == path).map(|route| route.access);
    let limited = path.starts_with("/api/") || path.starts_with("/oauth/");
    let speaks_oauth = path.starts_with("/oauth/");
    let media_type = operation.pointer("/requestBody/content").and_then(Value::as_object);
    let media_type = media_type.and_then(|content| content.keys().next()).cloned();
    let takes_query = operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["in"] == "query"));
    let body = operation.pointer("/requestBody/content/application~1json/schema/$ref").and_then(Value::as_str);
    if body.and_then(|body| body.rsplit('/').next()).is_some_and(|body| OPTIONAL_BODIES.contains(&body)) {
        operation["requestBody"]["required"] = false.into();
    }
    if let Some(Access::Bearer(role)) = access {
        operation["description"] = who(role).into();
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };

    add(responses, 400, "`bad_request`, `invalid_request`: the request can’t be read");
    if media_type.is_some() {
        add(responses, 408, "`timeout`: the body did not arrive within 15 seconds");
        add(responses, 413, "`payload_too_large`: more than 64 KiB");
    }
    if media_type.as_deref() == Some("application/json") {
        add(responses, 415, "`unsupported_media_type`: not application/json");
    }
    if takes_query || media_type.as_deref() == Some("application/json") {
        add(responses, 422, "`invalid`: `errors` names the fields");
    }
    if let Some(Access::Bearer(role)) = access {
        add(responses, 401, "`not_signed_in`, `invalid_token`");
        if role > Role::User {
            add(responses, 403, "`forbidden`: for a higher role");
        }
    }
    if limited {
        add(responses, 429, "`too_many_requests`, `too_many_attempts`: wait");
    }
    add(responses, 500, "`internal_error`");
    add(responses, 503, "`unavailable`, `busy`: try again");

    for (status, response) in responses {
        let own = speaks_oauth && matches!(status.as_str(), "408" | "413" | "500" | "503");
        let is_error = status.starts_with(['4', '5']);
        if is_error && response.get("content").is_none() {
            let (media_type, schema) = match own {
                true => ("application/json", "OAuthError"),
                false => ("application/problem+json", "Problem"),
            };
            response["content"] =
                json!({ media_type: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } });
        }
        let header = match (status.as_str(), limited) {
            ("401", true) => "WWW-Authenticate",
            ("429" | "503", _) => "Retry-After",
            _ => continue,
        };
        response["headers"][header] = json!({ "schema": { "type": "string" } });
    }
}

/// Who has at least this role.
fn who(role: Role) -> &'static str {
    match role {
        Role::User => "For everyone who is signed in.",
        Role::Manager => "For managers and administrators.",
        Role::Admin => "For administrators.",
    }
}

/// What [`crate::http::json::OptionalJson`] takes: a token may be in a cookie, or in the Authorization header.
const OPTIONAL_BODIES: [&str; 2] = ["RefreshBody", "EmptyBody"];

fn add(responses: &mut Map<String, Value>, status: u16, description: &str) {
    responses.entry(status.to_string()).or_insert_with(|| json!({ "description": description }));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_of_the_api_is_documented_and_nothing_else() {
        let is_api = |path: &str| {
            ["/api/", "/oauth/", "/.well-known/"].iter().any(|prefix| path.starts_with(prefix))
                && path != "/.well-known/change-password"
        };
        let declared: BTreeSet<_> = routes::ALL
            .iter()
            .filter(|route| is_api(route.path))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|route| (route.path.to_owned(), route.method.to_owned()))
            .collect();
        let documented: BTreeSet<_> = DOCUMENT["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(move |method| (path.clone(), method.to_uppercase()))
            })
            .collect();
        assert_eq!(declared, documented);
    }

    #[test]
    fn every_operation_says_who_may_call_it_as_the_route_table_does() {
        for route in routes::ALL {
            let Some(operation) =
                DOCUMENT["paths"].get(route.path).and_then(|item| item.get(route.method.to_lowercase()))
            else {
                continue;
            };
            let security = operation["security"].as_array().unwrap_or_else(|| panic!("{route:?}"));
            let only_bearer = security.len() == 1 && security[0].get("bearer").is_some();
            assert_eq!(only_bearer, matches!(route.access, Access::Bearer(_)), "{route:?}");
            let described = match route.access {
                Access::Bearer(role) => Some(who(role)),
                Access::Everyone | Access::SignedIn(_) => None,
            };
            assert_eq!(operation["description"].as_str(), described, "{route:?}");
            assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{route:?}");
        }
    }

    #[test]
    fn references_lead_somewhere_and_bodies_take_no_unknown_field() {
        fn walk(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(object) => {
                    found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    object.values().for_each(|value| walk(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let mut references = Vec::new();
        walk(&DOCUMENT, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            assert!(DOCUMENT.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
            if name.ends_with("Body") && name != "TokenBody" {
                assert_eq!(schema["additionalProperties"], false, "{name}");
            }
        }
    }
}
