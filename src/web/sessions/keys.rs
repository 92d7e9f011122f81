//! `/admin/keys`: the keys that sign access tokens.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use crate::domain::Timestamp;
use crate::domain::clock::duration;
use crate::domain::signing_key::{KeyState, SigningAlgorithm, SigningKeyInfo};
use crate::http::client_address::ClientInfo;
use crate::http::current_user::CurrentUser;
use crate::http::flash::{self, Notice};
use crate::http::forms::{Form, Sent};
use crate::http::step_up::SteppedUp;
use crate::services::Services;
use crate::services::sessions::signing_keys;
use crate::web::form_errors::FormErrors;
use crate::web::layout::{self, AdminLayout, account_of, page};
use crate::web::time_tag::{TimeTag, time_tag};
use crate::web::{Answer, see_other};

const PATH: &str = "/admin/keys";

#[derive(Template)]
#[template(path = "sessions/keys.html")]
struct KeysPage {
    layout: AdminLayout,
    algorithm: &'static str,
    /// The key is a setting, shared with those who verify.
    shared: bool,
    interval: String,
    keys: Vec<KeyRow>,
}

struct KeyRow {
    kid: String,
    algorithm: &'static str,
    state: KeyState,
    created: TimeTag,
    signs_since: Option<TimeTag>,
    retired: Option<TimeTag>,
}

impl KeyRow {
    fn new(key: SigningKeyInfo, now: Timestamp) -> Self {
        let when = |at: Timestamp| time_tag(at, now);
        Self {
            kid: key.kid,
            algorithm: key.algorithm.as_str(),
            state: key.state,
            created: when(key.created_at),
            signs_since: key.active_from.map(when),
            retired: key.retired_at.map(when),
        }
    }
}

#[derive(Template)]
#[template(path = "sessions/rotate_keys.html")]
struct RotatePage {
    layout: AdminLayout,
    access_token_ttl: String,
    /// The kid of the key that is to sign.
    next: Option<String>,
}

/// `GET /admin/keys`.
pub async fn show(request: HttpRequest, services: web::Data<Services>, current: CurrentUser) -> Answer {
    let reader = account_of(&services, &current).await?;
    let now = services.clock.now();
    let algorithm = services.settings.jwt_algorithm;
    let template = KeysPage {
        algorithm: algorithm.as_str(),
        shared: algorithm == SigningAlgorithm::Hs256,
        interval: duration(services.settings.key_rotation_interval),
        keys: signing_keys::list(&services.database).await?.into_iter().map(|key| KeyRow::new(key, now)).collect(),
        layout: AdminLayout::new(&reader, &current, &request, PATH, FormErrors::none()),
    };
    page(StatusCode::OK, &template)
}

/// `GET /admin/keys/rotate`.
pub async fn ask(request: HttpRequest, services: web::Data<Services>, recent: SteppedUp) -> Answer {
    rotate_page(&request, &services, &recent.user, FormErrors::none()).await
}

/// The key that is to sign, as it was when the page was made.
#[derive(serde::Deserialize)]
pub struct RotateForm {
    next: Option<String>,
}

/// `POST /admin/keys/rotate`. Sent twice, it rotates once.
pub async fn rotate(
    request: HttpRequest,
    services: web::Data<Services>,
    recent: SteppedUp,
    ClientInfo(client): ClientInfo,
    Form(sent): Form<RotateForm>,
) -> Answer {
    let Sent::Good(form) = sent else {
        return rotate_page(&request, &services, &recent.user, FormErrors::stale()).await;
    };
    let reader = account_of(&services, &recent.user).await?;
    match signing_keys::rotate(&services, &recent.auth_context(&reader), form.next.as_deref(), &client).await {
        Ok(_) => {
            flash::set(&request, Notice::KeyRotated);
            Ok(see_other(PATH))
        }
        Err(error) => rotate_page(&request, &services, &recent.user, FormErrors::of(error)?).await,
    }
}

async fn rotate_page(
    request: &HttpRequest,
    services: &Services,
    current: &CurrentUser,
    form_errors: FormErrors,
) -> Answer {
    let reader = account_of(services, current).await?;
    let status = form_errors.status;
    let mut keys = signing_keys::list(&services.database).await?.into_iter();
    let template = RotatePage {
        next: keys.find(|key| key.state == KeyState::Next).map(|key| key.kid),
        access_token_ttl: duration(services.settings.access_token_ttl),
        layout: AdminLayout::new(&reader, current, request, PATH, form_errors),
    };
    page(status, &template)
}
