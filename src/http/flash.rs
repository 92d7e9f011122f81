//! A notice that the next page shows: a short signed cookie that holds a code, never text. The one thing that can be
//! shown only once, a link to hand over, travels the same way.

use std::future::{Ready, ready};

use actix_web::cookie::Cookie;
use actix_web::cookie::time::Duration;
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::cookies::OurCookie;
use super::site::Site;
use crate::domain::UserId;
use crate::domain::keys::mac;

/// For how long the next page may take to come.
const MAX_AGE: Duration = Duration::minutes(1);

/// What was done. The pages have the sentence for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    SignedOut,
    SessionEnded,
    /// How many other sessions were ended.
    OthersEnded(u64),
    PasswordChanged,
    PasswordReset,
    ProfileSaved,
    /// How many sessions an administrator ended.
    SessionsEnded(u64),
    /// Of another's account, as the following.
    UserSaved,
    RoleChanged,
    UserSuspended,
    UserReinstated,
    UserUnlocked,
    UserDeleted,
    KeyRotated,
    /// A link with which the account's owner chooses a password; for the account's page alone.
    ResetLink(UserId, LinkToken),
}

/// The token of a one-time link, in clear. Doesn't print.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkToken(pub String);

impl std::fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkToken(…)")
    }
}

impl Notice {
    const WITHOUT_NUMBER: [(&'static str, Self); 12] = [
        ("signed_out", Self::SignedOut),
        ("session_ended", Self::SessionEnded),
        ("password_changed", Self::PasswordChanged),
        ("password_reset", Self::PasswordReset),
        ("profile_saved", Self::ProfileSaved),
        ("user_saved", Self::UserSaved),
        ("role_changed", Self::RoleChanged),
        ("user_suspended", Self::UserSuspended),
        ("user_reinstated", Self::UserReinstated),
        ("user_unlocked", Self::UserUnlocked),
        ("user_deleted", Self::UserDeleted),
        ("key_rotated", Self::KeyRotated),
    ];
    const OTHERS_ENDED: &'static str = "others_ended-";
    const SESSIONS_ENDED: &'static str = "sessions_ended-";
    const RESET_LINK: &'static str = "reset_link-";

    fn code(&self) -> String {
        match self {
            Self::OthersEnded(count) => format!("{}{count}", Self::OTHERS_ENDED),
            Self::SessionsEnded(count) => format!("{}{count}", Self::SESSIONS_ENDED),
            Self::ResetLink(user, token) => format!("{}{user}_{}", Self::RESET_LINK, token.0),
            other => {
                let known = Self::WITHOUT_NUMBER.iter().find(|(_, notice)| notice == other);
                known.map(|(code, _)| (*code).to_owned()).unwrap_or_default()
            }
        }
    }

    fn from_code(code: &str) -> Option<Self> {
        if let Some((user, token)) = code.strip_prefix(Self::RESET_LINK).and_then(|rest| rest.split_once('_')) {
            return Some(Self::ResetLink(user.parse().ok()?, LinkToken(token.to_owned())));
        }
        if let Some(count) = code.strip_prefix(Self::OTHERS_ENDED) {
            return count.parse().ok().map(Self::OthersEnded);
        }
        if let Some(count) = code.strip_prefix(Self::SESSIONS_ENDED) {
            return count.parse().ok().map(Self::SessionsEnded);
        }
        Self::WITHOUT_NUMBER.iter().find(|(known, _)| *known == code).map(|(_, notice)| notice.clone())
    }
}

/// What becomes of the cookie with this answer.
#[derive(Clone)]
enum FlashChange {
    Set(Notice),
    /// It was read.
    Removed,
}

/// Leaves the notice for the next page; call it where the answer is a redirect.
pub fn set(request: &HttpRequest, notice: Notice) {
    request.extensions_mut().insert(FlashChange::Set(notice));
}

/// The notice that the last answer left, if any; reading it removes it from the browser.
pub struct Flash(pub Option<Notice>);

impl FromRequest for Flash {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let site = Site::of(request);
        let notice = request.cookie(OurCookie::Flash.name(&site.cookies)).and_then(|cookie| {
            request.extensions_mut().insert(FlashChange::Removed);
            verified(&site.flash_key, cookie.value())
        });
        ready(Ok(Self(notice)))
    }
}

/// The cookie that [`super::cookie_guard`] sends along.
pub(super) fn outgoing(request: &HttpRequest) -> Option<Cookie<'static>> {
    let site = Site::of(request);
    let change = request.extensions().get::<FlashChange>().cloned()?;
    Some(match change {
        FlashChange::Removed => OurCookie::Flash.removal(&site.cookies),
        FlashChange::Set(notice) => {
            let mut cookie = OurCookie::Flash.with_value(signed(&site.flash_key, &notice), &site.cookies);
            cookie.set_max_age(MAX_AGE);
            cookie
        }
    })
}

fn signature(key: &[u8; 32], code: &str) -> String {
    URL_SAFE_NO_PAD.encode(mac(key, &[code.as_bytes()]))
}

fn signed(key: &[u8; 32], notice: &Notice) -> String {
    let code = notice.code();
    format!("{code}.{}", signature(key, &code))
}

fn verified(key: &[u8; 32], value: &str) -> Option<Notice> {
    let (code, sent) = value.split_once('.')?;
    let right: bool = signature(key, code).as_bytes().ct_eq(sent.as_bytes()).into();
    right.then(|| Notice::from_code(code)).flatten()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{COOKIE, SET_COOKIE};
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};

    use super::*;
    use crate::domain::Clock;
    use crate::http::cookie_guard::guard;
    use crate::http::site::tests::site;

    #[test]
    fn every_notice_is_read_back_and_none_can_be_made_up() {
        let plain = Notice::WITHOUT_NUMBER.map(|(_, notice)| notice);
        for notice in plain.into_iter().chain([
            Notice::OthersEnded(0),
            Notice::OthersEnded(u64::MAX),
            Notice::SessionsEnded(7),
            Notice::ResetLink(UserId::new(Clock::default().now()), LinkToken("a_b-c".to_owned())),
        ]) {
            let value = signed(&[1; 32], &notice);
            assert_eq!(verified(&[1; 32], &value), Some(notice));
            assert_eq!(verified(&[2; 32], &value), None);
        }
        let three = signed(&[1; 32], &Notice::OthersEnded(3));
        for forged in [three.replace("-3", "-4"), "signed_out".into(), "signed_out.".into(), ".".into(), String::new()]
        {
            assert_eq!(verified(&[1; 32], &forged), None, "{forged}");
        }
    }

    #[actix_web::test]
    async fn a_notice_is_shown_once() {
        let app = init_service(
            App::new()
                .app_data(site("https://auth.example.org"))
                .wrap(from_fn(guard))
                .route(
                    "/set",
                    web::get().to(|request: HttpRequest| async move {
                        set(&request, Notice::OthersEnded(3));
                        HttpResponse::Ok().finish()
                    }),
                )
                .route("/read", web::get().to(|flash: Flash| async move { format!("{:?}", flash.0) })),
        )
        .await;
        let response = call_service(&app, TestRequest::get().uri("/set").to_request()).await;
        let line = response.headers().get(SET_COOKIE).unwrap().to_str().unwrap().to_owned();
        let (pair, attributes) = line.split_once("; ").unwrap();
        assert!(pair.starts_with("__Host-portcullis-flash=others_ended-3."), "{pair}");
        assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60");

        let response =
            call_service(&app, TestRequest::get().uri("/read").insert_header((COOKIE, pair)).to_request()).await;
        let removal = response.headers().get(SET_COOKIE).unwrap().to_str().unwrap().to_owned();
        assert!(removal.starts_with("__Host-portcullis-flash=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"));
        assert_eq!(actix_web::test::read_body(response).await, "Some(OthersEnded(3))");

        let response = call_service(&app, TestRequest::get().uri("/read").to_request()).await;
        assert!(!response.headers().contains_key(SET_COOKIE));
    }
}
