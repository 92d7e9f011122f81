//! The only reader of the `Cookie` header and the only writer of our cookies.
//!
//! actix-web reads names leniently: it trims Unicode white space and percent-decodes them, so that a neighbouring
//! domain could set `__Host%2Dportcullis`, which no browser protects, and have it read as ours. It also gives up on
//! all cookies where one isn't UTF-8. So the header is rebuilt here from the pairs whose name is ours, byte for byte.
//!
//! On the way out, actix-session's own `Set-Cookie` passes only where a handler left a mark: a slow request can't put
//! an older secret over a newer cookie, and a refused old secret doesn't take away the new one.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::cookie::Cookie;
use actix_web::cookie::time::Duration;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, ResponseError as _};

use super::cookies::{CookieNames, OurCookie};
use super::problem::Problem;
use super::session_cookie::CookieChange;
use super::site::Site;
use super::{device_cookie, flash};

/// Wrap with `from_fn`, outside the session middleware.
pub async fn guard<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let ours = match our_cookies(request.headers(), &Site::of(request.request()).cookies) {
        Ok(ours) => ours,
        Err(Repeated(name)) => {
            let detail = format!("The cookie “{name}” came twice. Delete the cookies of this site and try again.");
            let problem = Problem::new(StatusCode::BAD_REQUEST, "repeated_cookie", detail);
            return Ok(request.into_response(problem.error_response()).map_into_right_body());
        }
    };
    request.headers_mut().remove(COOKIE);
    if let Some(ours) = ours {
        request.headers_mut().insert(COOKIE, ours);
    }

    let mut response = next.call(request).await?;
    let lines = outgoing(&response);
    response.headers_mut().remove(SET_COOKIE);
    for line in lines {
        response.headers_mut().append(SET_COOKIE, line);
    }
    Ok(response.map_into_left_body())
}

/// A cookie of ours that came more than once: which one is meant can't be known.
#[derive(Debug, PartialEq)]
struct Repeated(String);

/// The `Cookie` header with our well-formed cookies only; all header lines count as one. `None` where there are none.
fn our_cookies(headers: &HeaderMap, names: &CookieNames) -> Result<Option<HeaderValue>, Repeated> {
    let mut seen = [false; OurCookie::ALL.len()];
    let mut kept: Vec<&[u8]> = Vec::new();
    for pair in headers.get_all(COOKIE).flat_map(|line| line.as_bytes().split(|byte| *byte == b';')) {
        let pair = pair.trim_ascii();
        let Some((position, name, value)) = names.all().iter().enumerate().find_map(|(position, name)| {
            let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some((position, name, value))
        }) else {
            continue;
        };
        if std::mem::replace(&mut seen[position], true) {
            return Err(Repeated(name.clone()));
        }
        if value.iter().all(|byte| is_cookie_octet(*byte)) {
            kept.push(pair);
        }
    }
    // All of it is visible ASCII, so this can't fail.
    Ok((!kept.is_empty()).then(|| HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok()).flatten())
}

/// RFC 6265, 4.1.1: visible ASCII without quote, comma, semicolon and backslash.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

/// The `Set-Cookie` lines that this answer shall have.
fn outgoing<B>(response: &ServiceResponse<B>) -> Vec<HeaderValue> {
    let request = response.request();
    let site = Site::of(request);
    let is_session = |line: &&HeaderValue| {
        line.as_bytes()
            .strip_prefix(OurCookie::Session.name(&site.cookies).as_bytes())
            .is_some_and(|rest| rest.starts_with(b"="))
    };
    let (session, others): (Vec<_>, Vec<_>) = response.headers().get_all(SET_COOKIE).partition(is_session);
    let mut lines: Vec<HeaderValue> = others.into_iter().cloned().collect();

    let change = request.extensions().get::<CookieChange>().copied();
    let session = match change {
        None => None,
        Some(CookieChange::Removed) => Some(OurCookie::Session.removal(&site.cookies)),
        Some(CookieChange::Issued { remember }) => session.last().and_then(|line| {
            let mut cookie = Cookie::parse(line.to_str().ok()?.to_owned()).ok()?;
            if remember {
                cookie.set_max_age(Duration::seconds(site.remember_seconds));
            }
            Some(cookie)
        }),
    };
    for cookie in session.into_iter().chain(flash::outgoing(request)).chain(device_cookie::outgoing(request)) {
        lines.extend(HeaderValue::from_str(&cookie.to_string()));
    }
    lines
}

#[cfg(test)]
mod tests;
