//! Forms of administrators that come when the password has to be entered first: what was typed is not lost by it.

use actix_web::HttpResponse;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::domain::typed_form::TypedForm;
use crate::http::current_user::{CurrentUser, confirm_url};
use crate::http::fields::{Fields, Repeated};
use crate::services::Services;
use crate::web::form_errors::FormErrors;
use crate::web::list::url;
use crate::web::{next, see_other};

/// Stands in the place of what could not be kept.
const LOST: &str = "lost";

/// The query of a form's page, to which one comes back with what was typed.
#[derive(serde::Deserialize)]
pub struct TypedQuery {
    #[serde(default)]
    typed: String,
}

impl TypedQuery {
    /// What was typed into the form that is sent to `path`, and what is to be said of it: it is not done yet, or it is lost.
    pub(super) fn form<T: DeserializeOwned + Default>(
        &self,
        services: &Services,
        current: &CurrentUser,
        path: &str,
    ) -> (T, FormErrors) {
        if self.typed.is_empty() {
            return (T::default(), FormErrors::none());
        }
        let form = TypedForm { session: current.session.id, path };
        let typed = form.open(&services.root_key, &self.typed, services.clock.now());
        let fields = typed.and_then(|typed| Fields::parse(typed.as_bytes(), Repeated::Refused).ok());
        match fields.and_then(|fields| fields.into().ok()) {
            Some(form) => (form, FormErrors::not_sent_yet()),
            None => (T::default(), FormErrors::not_kept()),
        }
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
    let sealed = form.seal(&services.root_key, &typed, services.clock.now());
    let asked = sealed.map(|sealed| url(path, &[("typed", &sealed)])).unwrap_or_default();
    // More than an address holds is lost, and told to be.
    let lost = url(path, &[("typed", LOST)]);
    see_other(&confirm_url(next::or(&lost, &asked, services.settings.public_url.as_str())))
}
