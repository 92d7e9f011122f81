//! Whether this node lives and can serve, for orchestrators, load balancers and `portcullis healthcheck`.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::services::Services;
use crate::startup::Draining;

/// `GET /livez`: the process answers. Touches nothing.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// `GET /version`.
pub async fn version() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "name": "portcullis", "version": env!("CARGO_PKG_VERSION") }))
}

/// What `/readyz` says of one dependency.
#[derive(Serialize)]
struct Check {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl Check {
    fn of(latency: Option<Duration>) -> Self {
        let milliseconds = latency.map(|latency| (latency.as_secs_f64() * 100_000.0).round() / 100.0);
        let status = if latency.is_some() { "ok" } else { "unavailable" };
        Self { status, milliseconds, warning: None }
    }
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    database: Check,
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<Check>,
}

/// `GET /readyz`: asks database and Redis; 503 when one does not answer, or while the server is being stopped.
pub async fn readyz(services: web::Data<Services>, draining: web::Data<Draining>) -> HttpResponse {
    let database = async { Check::of(services.database_latency().await.ok()) };
    let redis = async {
        let health = services.redis_health().await?;
        Some(Check { warning: health.warning, ..Check::of(health.latency.ok()) })
    };
    let (database, redis) = futures_util::future::join(database, redis).await;
    let available = database.status == "ok" && redis.as_ref().is_none_or(|redis| redis.status == "ok");
    let (code, status) = match (draining.is_set(), available) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, true) => (StatusCode::OK, "ok"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    HttpResponse::build(code).json(Readiness { status, database, redis })
}
