//! Forms of administrators that come when the password has to be entered first: what was typed is not lost by it.

use actix_web::HttpResponse;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::domain::typed_form::TypedForm;
use crate::http::current_user::{CurrentUser, confirm_url};
use crate::http::fields::{Fields, Repeated};
use crate::services::Services;
use crate::web::list::url;
use crate::web::{next, see_other};

/// The query of a form's page, to which one comes back with what was typed.
#[derive(serde::Deserialize)]
pub struct TypedQuery {
    #[serde(default)]
    typed: String,
}

impl TypedQuery {
    /// What was typed into the form that is sent to `path`. It is not done yet.
    pub(super) fn form<T: DeserializeOwned>(
        &self,
        services: &Services,
        current: &CurrentUser,
        path: &str,
    ) -> Option<T> {
        let form = TypedForm { session: current.session.id, path };
        let typed = form.open(&services.root_key, &self.typed, services.clock.now())?;
        Fields::parse(typed.as_bytes(), Repeated::Refused).and_then(Fields::into).ok()
    }
}

/// Asks for the password, and goes on to the form at `path` with these fields in it.
pub(super) fn password_first(
    services: &Services,
    current: &CurrentUser,
    path: &str,
    fields: &[(&str, &str)],
) -> HttpResponse {
    let typed = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let form = TypedForm { session: current.session.id, path };
    let sealed = form.seal(&services.root_key, &typed, services.clock.now()).unwrap_or_default();
    // No browser lets anybody type more into these fields than an address holds.
    let asked = url(path, &[("typed", &sealed)]);
    see_other(&confirm_url(next::or(path, &asked, services.settings.public_url.as_str())))
}
