//! The cookie by which a browser is known to an account: read with each request's [`super::client_address::ClientInfo`],
//! written where somebody signed in. What it says is the services' to check.

use actix_web::cookie::Cookie;
use actix_web::cookie::time::Duration;
use actix_web::{HttpMessage as _, HttpRequest};

use super::cookies::OurCookie;
use super::site::Site;
use crate::domain::device_cookie::DeviceCookie;

/// Begins anew with each sign-in.
const MAX_AGE: Duration = Duration::days(365);

/// What the browser sent.
pub(super) fn of(request: &HttpRequest) -> Option<DeviceCookie> {
    let cookie = request.cookie(OurCookie::Device.name(&Site::of(request).cookies))?;
    Some(DeviceCookie::of_value(cookie.value()))
}

/// Puts the cookie into the answer. It outlives sessions and signing out: that is what it is for.
pub fn set(request: &HttpRequest, cookie: DeviceCookie) {
    request.extensions_mut().insert(cookie);
}

/// The cookie that [`super::cookie_guard`] sends along.
pub(super) fn outgoing(request: &HttpRequest) -> Option<Cookie<'static>> {
    let value = request.extensions().get::<DeviceCookie>()?.reveal().to_owned();
    let mut cookie = OurCookie::Device.with_value(value, &Site::of(request).cookies);
    cookie.set_max_age(MAX_AGE);
    Some(cookie)
}
