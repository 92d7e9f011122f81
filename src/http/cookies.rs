//! The cookies that are ours: names and attributes, in one place.

use actix_web::cookie::time::{Duration, OffsetDateTime};
use actix_web::cookie::{Cookie, SameSite};

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

impl OurCookie {
    pub const ALL: [Self; 4] = [Self::Session, Self::Flash, Self::Device, Self::Refresh];

    /// Its name. The `__Host-` prefix needs `Secure`, so plain http goes without (RFC 6265bis, 4.1.3.2); it also needs
    /// the path `/`, so the refresh token's has `__Secure-`.
    pub fn name(self, https: bool) -> &'static str {
        match (self, https) {
            (Self::Session, true) => "__Host-portcullis",
            (Self::Session, false) => "portcullis",
            (Self::Flash, true) => "__Host-portcullis-flash",
            (Self::Flash, false) => "portcullis-flash",
            (Self::Device, true) => "__Host-portcullis-device",
            (Self::Device, false) => "portcullis-device",
            (Self::Refresh, true) => "__Secure-portcullis-refresh",
            (Self::Refresh, false) => "portcullis-refresh",
        }
    }

    /// The cookie with its attributes, until the browser closes.
    pub fn with_value(self, value: String, https: bool) -> Cookie<'static> {
        let (path, same_site) = match self {
            Self::Session | Self::Flash | Self::Device => ("/", SameSite::Lax),
            // Sent where it is used, and by no link or form of another site.
            Self::Refresh => ("/api/v1/auth", SameSite::Strict),
        };
        Cookie::build(self.name(https), value).path(path).http_only(true).same_site(same_site).secure(https).finish()
    }

    /// Makes the browser forget it. The attributes are those of the cookie, or a browser wouldn't take it for the same.
    pub fn removal(self, https: bool) -> Cookie<'static> {
        let mut cookie = self.with_value(String::new(), https);
        cookie.set_max_age(Duration::ZERO);
        cookie.set_expires(OffsetDateTime::UNIX_EPOCH);
        cookie
    }
}
