//! The cookies that are ours: names and attributes, in one place.

use actix_web::cookie::time::{Duration, OffsetDateTime};
use actix_web::cookie::{Cookie, SameSite};

use crate::settings::Settings;

/// A cookie of ours. What isn't listed here never reaches a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OurCookie {
    /// The secret of a session, signed.
    Session,
    /// A notice for the next page.
    Flash,
    /// By which a browser is known to an account.
    Device,
    /// The refresh token of a browser application that asked for it in a cookie.
    Refresh,
}

/// What the cookies of this installation are called.
#[derive(Clone)]
pub struct CookieNames {
    names: [String; OurCookie::ALL.len()],
    https: bool,
}

impl CookieNames {
    /// From the setting `cookie_name`. The `__Host-` prefix needs `Secure`, so plain http goes without (RFC 6265bis,
    /// 4.1.3.2); it also needs the path `/`, so the refresh token's has `__Secure-`.
    pub fn new(name: &str, https: bool) -> Self {
        let [host, secure] = if https { ["__Host-", "__Secure-"] } else { ["", ""] };
        let names = OurCookie::ALL.map(|cookie| match cookie {
            OurCookie::Session => format!("{host}{name}"),
            OurCookie::Flash => format!("{host}{name}-flash"),
            OurCookie::Device => format!("{host}{name}-device"),
            OurCookie::Refresh => format!("{secure}{name}-refresh"),
        });
        Self { names, https }
    }

    pub fn of(settings: &Settings) -> Self {
        Self::new(&settings.cookie_name, settings.public_url.is_https())
    }

    /// In the order of [`OurCookie::ALL`].
    pub fn all(&self) -> &[String; OurCookie::ALL.len()] {
        &self.names
    }
}

impl OurCookie {
    pub const ALL: [Self; 4] = [Self::Session, Self::Flash, Self::Device, Self::Refresh];

    /// Its name here.
    pub fn name(self, names: &CookieNames) -> &str {
        &names.names[self as usize]
    }

    /// The cookie with its attributes, until the browser closes.
    pub fn with_value(self, value: String, names: &CookieNames) -> Cookie<'static> {
        let (path, same_site) = match self {
            Self::Session | Self::Flash | Self::Device => ("/", SameSite::Lax),
            // Sent where it is used, and by no link or form of another site.
            Self::Refresh => ("/api/v1/auth", SameSite::Strict),
        };
        let cookie = Cookie::build(self.name(names).to_owned(), value);
        cookie.path(path).http_only(true).same_site(same_site).secure(names.https).finish()
    }

    /// Makes the browser forget it. The attributes are those of the cookie, or a browser wouldn't take it for the same.
    pub fn removal(self, names: &CookieNames) -> Cookie<'static> {
        let mut cookie = self.with_value(String::new(), names);
        cookie.set_max_age(Duration::ZERO);
        cookie.set_expires(OffsetDateTime::UNIX_EPOCH);
        cookie
    }
}
