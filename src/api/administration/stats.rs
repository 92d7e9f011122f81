//! `/api/v1/stats`: the figures of the dashboard.

use actix_web::{HttpResponse, web};

use crate::api::Answer;
use crate::http::bearer::ApiUser;
use crate::http::require_role::{Manager, RequireRole};
use crate::representations::StatsShape;
use crate::services::Services;
use crate::services::administration::stats;

/// `GET /api/v1/stats`.
#[utoipa::path(
    get, path = "/api/v1/stats", tag = "stats", operation_id = "get_stats",
    summary = "How many accounts and sessions there are, and how many sign-ins and failures there were",
    responses((status = 200, description = "The figures of this moment", body = StatsShape)),
    security(("bearer" = []))
)]
pub async fn show(services: web::Data<Services>, manager: RequireRole<Manager, ApiUser>) -> Answer {
    let stats = stats::all(&services, &manager.user.auth_context()).await?;
    Ok(HttpResponse::Ok().json(StatsShape::from(&stats)))
}
