//! `/admin/settings`: what holds, and where it came from.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use crate::http::client_address::ClientInfo;
use crate::http::current_user::CurrentUser;
use crate::services::Services;
use crate::settings::Source;
use crate::web::Answer;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};

#[derive(Template)]
#[template(path = "administration/settings.html")]
struct SettingsPage {
    layout: AdminLayout,
    /// The reader's, as sessions, limits and the audit log have it.
    address: Option<String>,
    device: Option<String>,
    settings: Vec<SettingRow>,
}

struct SettingRow {
    key: &'static str,
    /// Secrets are masked.
    value: Option<String>,
    source: String,
    is_default: bool,
}

/// `GET /admin/settings`.
pub async fn show(
    request: HttpRequest,
    services: web::Data<Services>,
    current: CurrentUser,
    ClientInfo(client): ClientInfo,
) -> Answer {
    let reader = account_of(&services, &current).await?;
    let settings = services.effective.iter().map(|setting| SettingRow {
        key: setting.key,
        value: setting.value.clone(),
        source: setting.source.to_string(),
        is_default: setting.source == Source::Default,
    });
    let template = SettingsPage {
        address: client.address.map(|address| address.to_string()),
        device: client.device,
        settings: settings.collect(),
        layout: AdminLayout::new(&reader, &current, &request, "/admin/settings", FormErrors::none()),
    };
    page(StatusCode::OK, &template)
}
