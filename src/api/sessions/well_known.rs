//! What other services look up about this one.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Answer;
use crate::services::Services;
use crate::services::sessions::signing_keys;
use crate::settings::JwtAlgorithm;

/// A key is published long before its first use, so these may be kept for a while.
const CACHEABLE: &str = "public, max-age=300";

/// Public keys (RFC 7517).
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the keys' service makes")]
pub struct Jwks {
    /// The next one, the active one and former ones whose tokens may still be good; none with HS256.
    keys: Vec<Jwk>,
}

/// A public key: the members of its kind are there, the others not.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the keys’ service makes")]
pub struct Jwk {
    /// Kind: `OKP`, `EC` or `RSA`.
    kty: String,
    /// By which the header of a token names it.
    kid: String,
    /// The one algorithm that it is for.
    alg: String,
    /// `sig`: it checks signatures.
    #[schema(rename = "use")]
    usage: String,
    /// Curve, of `OKP` and `EC`.
    #[schema(nullable = false)]
    crv: Option<String>,
    /// Of `OKP` the key, of `EC` its first coordinate.
    #[schema(nullable = false)]
    x: Option<String>,
    /// Second coordinate, of `EC`.
    #[schema(nullable = false)]
    y: Option<String>,
    /// Modulus, of `RSA`.
    #[schema(nullable = false)]
    n: Option<String>,
    /// Exponent, of `RSA`.
    #[schema(nullable = false)]
    e: Option<String>,
}

/// `GET /.well-known/jwks.json`.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "discovery", operation_id = "get_jwks",
    summary = "The public keys with which our access tokens are verified",
    responses((status = 200, description = "RFC 7517; `Cache-Control: public, max-age=300`", body = Jwks)),
    security(())
)]
pub async fn jwks(services: web::Data<Services>) -> Answer {
    let keys = signing_keys::jwks(&services).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, CACHEABLE)).json(keys))
}

/// RFC 8414.
#[derive(Serialize, ToSchema)]
pub struct Metadata {
    /// `iss` of our tokens.
    issuer: String,
    /// Where a refresh token is exchanged for new ones.
    token_endpoint: String,
    /// Where a token is given back.
    revocation_endpoint: String,
    /// Where one asks whether a token is good now.
    introspection_endpoint: String,
    /// Not there with HS256, which has no public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    jwks_uri: Option<String>,
    /// The reference of the API.
    service_documentation: String,
    /// None: there is no authorization endpoint. Yet the field must be there.
    response_types_supported: [String; 0],
    /// What `grant_type` may say.
    grant_types_supported: [&'static str; 1],
    /// How a client says who it is there: not at all.
    token_endpoint_auth_methods_supported: [&'static str; 1],
    /// Likewise: whoever has a token may give it back.
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    /// An access token of a manager or an administrator.
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
}

/// `GET /.well-known/oauth-authorization-server`.
#[utoipa::path(
    get, path = "/.well-known/oauth-authorization-server", tag = "discovery", operation_id = "get_oauth_metadata",
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
