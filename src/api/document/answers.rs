//! What an operation answers without its handler: what every route of a kind may be refused with.

use serde_json::{Map, Value, json};

use crate::api::texts;
use crate::domain::Role;
use crate::http::access::{Access, Route};

/// Adds to each operation who may call it, and what its route answers without its handler.
pub fn complete(document: &mut Value, routes: &[Route], limited: &[&str]) {
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let method = method.to_uppercase();
            let route = routes.iter().find(|route| route.method == method && route.path == path);
            complete_operation(path, route.map(|route| route.access), operation);
            if limited.contains(&path.as_str()) && operation.get("requestBody").is_some() {
                add_rate_limit(operation);
            }
        }
    }
    open_forms(document);
    hoist_descriptions(document);
}

/// A form may have more than what is asked for, each field once; what nobody knows is ignored (RFC 6749, 3.2).
fn open_forms(document: &mut Value) {
    let pointer = "/post/requestBody/content/application~1x-www-form-urlencoded/schema/$ref";
    let items = document["paths"].as_object().into_iter().flatten();
    let forms: Vec<_> = items.filter_map(|(_, item)| item.pointer(pointer)?.as_str().map(str::to_owned)).collect();
    for form in forms {
        if let Some(schema) = document.pointer_mut(form.trim_start_matches('#')) {
            schema["additionalProperties"] = json!(texts::other_field());
            schema["propertyNames"] = json!(texts::other_field());
        }
    }
}

fn complete_operation(path: &str, access: Option<Access>, operation: &mut Value) {
    let limited = path.starts_with("/api/") || path.starts_with("/oauth/");
    let speaks_oauth = path.starts_with("/oauth/");
    let media_type = operation.pointer("/requestBody/content").and_then(Value::as_object);
    let media_type = media_type.and_then(|content| content.keys().next()).cloned();
    let takes_query = operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["in"] == "query"));
    let body = operation.pointer("/requestBody/content/application~1json/schema/$ref").and_then(Value::as_str);
    if body.and_then(|body| body.rsplit('/').next()).is_some_and(|body| OPTIONAL_BODIES.contains(&body)) {
        operation["requestBody"]["required"] = false.into();
    }
    if let Some(access) = access {
        operation["description"] = who(access).into();
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
    if let Some(Access::Bearer(role, _)) = access {
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
        let is_error = status.starts_with(['4', '5']);
        let speaks_oauth = speaks_oauth && matches!(status.as_str(), "400" | "408" | "413" | "500" | "503");
        if is_error && speaks_oauth {
            add_body(response, "application/json", "OAuthError");
        }
        // What is found before the handler is asked, such as an address that isn't UTF-8, is a problem there too.
        if is_error && !(speaks_oauth && matches!(status.as_str(), "408" | "413")) {
            add_body(response, "application/problem+json", "Problem");
        }
        let (header, description) = match (status.as_str(), limited) {
            ("401", true) => ("WWW-Authenticate", "How a program could be let in (RFC 6750)"),
            ("429" | "503", _) => ("Retry-After", "Seconds until it may be tried again"),
            _ => continue,
        };
        add_header(response, header, description);
    }
}

/// What the answer to an attempt says of those that are left.
fn add_rate_limit(operation: &mut Value) {
    for response in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        add_header(response, "RateLimit-Policy", RATE_LIMIT_POLICY);
        add_header(response, "RateLimit", RATE_LIMIT);
    }
}

fn add_header(response: &mut Value, name: &str, description: &str) {
    response["headers"][name] = json!({ "description": description, "schema": { "type": "string" } });
}

/// Whom it is for.
pub fn who(access: Access) -> &'static str {
    match access {
        Access::Everyone => "For everyone.",
        Access::SignedIn(role, _) | Access::Bearer(role, _) => match role {
            Role::User => "For everyone who is signed in.",
            Role::Manager => "For managers and administrators.",
            Role::Admin => "For administrators.",
        },
    }
}

const RATE_LIMIT_POLICY: &str = "How many attempts (q) an address has in how many seconds (w), such as `\"login\";q=10;w=60` \
                                 (draft-ietf-httpapi-ratelimit-headers-11)";
const RATE_LIMIT: &str = "How many attempts are left (r), and in how many seconds there is one more (t), such as \
                          `\"login\";r=7;t=6`";

/// What [`crate::http::json::OptionalJson`] takes: a token may be in a cookie, or in the Authorization header.
const OPTIONAL_BODIES: [&str; 2] = ["RefreshBody", "EmptyBody"];

fn add(responses: &mut Map<String, Value>, status: u16, description: &str) {
    responses.entry(status.to_string()).or_insert_with(|| json!({ "description": description }));
}

fn add_body(response: &mut Value, media_type: &str, schema: &str) {
    let body = json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } });
    response["content"][media_type] = body;
}

/// A field that may be null has its description inside, beside what it is where it isn't: moves it to the field, where
/// readers look for it.
fn hoist_descriptions(value: &mut Value) {
    let alternatives = value.get_mut("oneOf").and_then(Value::as_array_mut);
    let description = alternatives.into_iter().flatten().find_map(|one| one.as_object_mut()?.remove("description"));
    if let Some(description) = description {
        value["description"] = description;
    }
    match value {
        Value::Object(object) => object.values_mut().for_each(hoist_descriptions),
        Value::Array(items) => items.iter_mut().for_each(hoist_descriptions),
        _ => {}
    }
}
