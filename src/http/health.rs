//! Whether this node lives and can serve, for orchestrators, load balancers and `portcullis healthcheck`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::draining::Draining;
use crate::services::Services;
use crate::services::health::{self, Fault, Health};

/// `GET /livez`: the process answers. Touches nothing.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// `GET /version`.
pub async fn version() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "name": "portcullis", "version": env!("CARGO_PKG_VERSION") }))
}

/// What `/readyz` says of one dependency. Not what the store said: that may name hosts, and is for the log.
#[derive(Serialize)]
struct Check {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<f64>,
    /// The step that fails, why, and what to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    /// By how much the clock of this host is ahead of that of the database, where that may be on another host.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead_seconds: Option<f64>,
}

impl From<Health> for Check {
    fn from(health: Health) -> Self {
        let (milliseconds, clock_ahead_seconds) = (health.milliseconds(), health.clock_ahead_seconds());
        let Health { tried, warning, .. } = health;
        let (status, fault) = match tried {
            Ok(_) => ("ok", None),
            Err(fault) => ("unavailable", Some(fault)),
        };
        let (failed, code, advice) = match fault {
            Some(Fault { failed, code, advice, .. }) => (Some(failed), Some(code), Some(advice)),
            None => (None, None, None),
        };
        Self { status, milliseconds, failed, code, advice, warning, clock_ahead_seconds }
    }
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    database: Check,
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<Check>,
}

/// `GET /readyz`: tries out database and Redis; 503 when one does not do what requests need, or while the server is being
/// stopped.
pub async fn readyz(services: web::Data<Services>, draining: web::Data<Draining>) -> HttpResponse {
    let (database, redis) =
        futures_util::future::join(health::database(&services), health::redis(&services.sessions)).await;
    let (database, redis) = (Check::from(database), redis.map(Check::from));
    let available = database.status == "ok" && redis.as_ref().is_none_or(|redis| redis.status == "ok");
    let (code, status) = match (draining.is_set(), available) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, true) => (StatusCode::OK, "ok"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    HttpResponse::build(code).json(Readiness { status, database, redis })
}
