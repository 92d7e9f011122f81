//! This installation as browsers and proxies see it: what this layer needs of the settings, in the app's data.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Mutex, Once};

use actix_web::{HttpRequest, web};
use ipnet::IpNet;

use super::cookies::CookieNames;
use crate::domain::link::LinkPurpose;
use crate::services::Services;

/// Made once, outside the `App` factory, and put there with `.app_data(web::Data::new(site))`. Holds keys: not `Debug`.
pub struct Site {
    /// `public_url`, spelt as a browser's `Origin` header spells it.
    pub origin: String,
    /// Cookies are `Secure` with a `__Host-` name, and HSTS is sent, exactly when this is so.
    pub https: bool,
    /// What our cookies are called.
    pub cookies: CookieNames,
    /// Whose scripts may use the API, spelt likewise.
    pub cors_origins: Vec<String>,
    /// From whom `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Who sent that header last without being believed: a proxy that the settings don't name, or somebody who tries.
    pub unbelieved_proxy: Mutex<Option<IpAddr>>,
    /// Done when it was said that a proxy names no clients.
    pub nameless_clients: Once,
    /// Max-Age of the session cookie with "keep me signed in", in seconds.
    pub remember_seconds: i64,
    /// Signs [`super::flash`] cookies.
    pub flash_key: [u8; 32],
    /// From it come the seeds of forms.
    pub form_key: [u8; 32],
}

impl Site {
    pub fn new(services: &Services) -> Self {
        let settings = &services.settings;
        Self {
            origin: settings.public_url.as_str().to_owned(),
            https: settings.public_url.is_https(),
            cookies: CookieNames::of(settings),
            cors_origins: settings.cors_origins.clone(),
            trusted_proxies: settings.trusted_proxies.clone(),
            unbelieved_proxy: Mutex::default(),
            nameless_clients: Once::new(),
            remember_seconds: settings.remember_absolute_timeout.num_seconds(),
            flash_key: services.root_key.derive("flash"),
            form_key: services.root_key.derive("forms"),
        }
    }

    /// The site that serves this request.
    pub fn of(request: &HttpRequest) -> &Self {
        #[expect(clippy::expect_used, reason = "no request can cause this: without it the first one of any test fails")]
        request.app_data::<web::Data<Self>>().expect("startup puts the site into the app's data")
    }
}

/// Whether the path of this request is itself a secret, a one-time link: never logged, never sent as a referrer. Also
/// where it was mistyped: the link is still good.
pub fn has_secret_path(request: &HttpRequest) -> bool {
    // As the router reads it, with needless percent-encoding removed.
    let path = request.match_info().as_str();
    let path =
        if path.contains('%') { path.replace("%2f", "/").replace("%2F", "/").into() } else { Cow::Borrowed(path) };
    LinkPurpose::ALL.iter().any(|purpose| {
        let of_link = purpose.path().as_bytes();
        path.as_bytes().windows(of_link.len()).any(|part| part.eq_ignore_ascii_case(of_link))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A site for tests of this layer.
    pub fn site(origin: &str) -> web::Data<Site> {
        web::Data::new(Site {
            origin: origin.to_owned(),
            https: origin.starts_with("https://"),
            cookies: CookieNames::new("portcullis", origin.starts_with("https://")),
            cors_origins: Vec::new(),
            trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
            unbelieved_proxy: Mutex::default(),
            nameless_clients: Once::new(),
            remember_seconds: 7_776_000,
            flash_key: [5; 32],
            form_key: [6; 32],
        })
    }

    #[test]
    fn a_one_time_link_is_a_secret_also_where_it_was_mistyped() {
        let is_secret = |path: &str| has_secret_path(&actix_web::test::TestRequest::with_uri(path).to_http_request());
        for path in ["/reset/x", "/setup/x", "//reset/x", "/RESET/x", "/reset%2fx", "/x/setup/x"] {
            assert!(is_secret(path), "{path}");
        }
        for path in ["/", "/account", "/admin/users/1/reset-link", "/setup"] {
            assert!(!is_secret(path), "{path}");
        }
    }
}
