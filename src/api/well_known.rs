//! What other services look up about this one.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use crate::services::Services;
use crate::settings::JwtAlgorithm;

/// A key is published long before its first use, so these may be kept for a while.
const CACHEABLE: &str = "public, max-age=300";

/// Public keys (RFC 7517).
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the keys' service makes")]
pub struct Jwks {
    keys: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// `GET /.well-known/jwks.json`.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "discovery", operation_id = "jwks",
    summary = "The public keys with which our access tokens are verified",
    responses((status = 200, description = "RFC 7517; `Cache-Control: public, max-age=300`", body = Jwks)),
    security(())
)]
pub async fn jwks(services: web::Data<Services>) -> Answer {
    let keys = services.jwks().await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, CACHEABLE)).json(keys))
}

/// RFC 8414.
#[derive(Serialize, ToSchema)]
pub struct Metadata {
    issuer: String,
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    /// Not there with HS256, which has no public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    jwks_uri: Option<String>,
    service_documentation: String,
    /// None: there is no authorization endpoint. Yet the field must be there.
    response_types_supported: [String; 0],
    grant_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
}

/// `GET /.well-known/oauth-authorization-server`.
#[utoipa::path(
    get, path = "/.well-known/oauth-authorization-server", tag = "discovery", operation_id = "oauth_metadata",
    summary = "What this server offers to OAuth 2.0 clients",
    responses((status = 200, description = "RFC 8414", body = Metadata)),
    security(())
)]
pub async fn metadata(services: web::Data<Services>) -> Answer {
    let issuer = services.settings.public_url.as_str();
    let url = |path: &str| format!("{issuer}{path}");
    let has_public_keys = services.settings.jwt_algorithm != JwtAlgorithm::Hs256;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, CACHEABLE)).json(Metadata {
        issuer: issuer.to_owned(),
        token_endpoint: url("/oauth/token"),
        revocation_endpoint: url("/oauth/revoke"),
        introspection_endpoint: url("/oauth/introspect"),
        jwks_uri: has_public_keys.then(|| url("/.well-known/jwks.json")),
        service_documentation: url("/docs"),
        response_types_supported: [],
        grant_types_supported: ["refresh_token"],
        token_endpoint_auth_methods_supported: ["none"],
        revocation_endpoint_auth_methods_supported: ["none"],
        introspection_endpoint_auth_methods_supported: ["Bearer"],
    }))
}
