//! The door between actix-session and the records: sessions are read through it, and never opened, changed or ended.
//!
//! actix-session would keep state at the end of each request and so bring back what ended meanwhile. Here state is
//! made anew from the record at each request and never kept: `save` and `update` only name the cookie's new value.

use std::collections::HashMap;

use actix_identity::IdentityMiddleware;
use actix_session::config::{BrowserSession, CookieContentSecurity};
use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Key, SameSite};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::cookies::OurCookie;
use super::problem::Problem;
use crate::domain::keys::{SessionHandle, mac};
use crate::domain::session::LiveSession;
use crate::services::Services;
use crate::services::sessions::own;

/// Where [`super::session_cookie`] leaves the handle of a session that a service opened or gave a new secret.
pub(super) const NEW_KEY: &str = "portcullis.new_key";
/// What the store said of the session: a [`LiveSession`].
const SESSION: &str = "portcullis.session";
/// The token of the session's forms.
const CSRF_TOKEN: &str = "portcullis.csrf_token";
/// The store could not be asked: whether someone is signed in isn't known.
const FAILED: &str = "portcullis.failed";
/// Where actix-identity looks by default.
const IDENTITY: &str = "actix_identity.user_id";

/// The signed session cookie, for the pages' scope. Build it in the `App` factory; it holds no state of its own.
pub fn session_middleware(services: &Services) -> SessionMiddleware<Records> {
    let https = services.settings.public_url.is_https();
    let key = Key::derive_from(&services.root_key.derive("cookie"));
    let records = Records { services: services.clone(), csrf_key: services.root_key.derive("csrf") };
    SessionMiddleware::builder(records, key)
        .cookie_name(OurCookie::Session.name(https).to_owned())
        .cookie_secure(https)
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Lax)
        .cookie_path("/".to_owned())
        .cookie_content_security(CookieContentSecurity::Signed)
        .session_lifecycle(BrowserSession::default())
        .build()
}

/// Without deadlines of its own: those would make each request a writer, with another clock than ours.
pub fn identity_middleware() -> IdentityMiddleware {
    IdentityMiddleware::default()
}

/// The records as actix-session's store.
pub struct Records {
    services: Services,
    csrf_key: [u8; 32],
}

impl SessionStore for Records {
    /// Never an error, for actix-session would answer it with an empty 500 that no other middleware sees.
    async fn load(&self, key: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
        let Some(handle) = SessionHandle::parse(key.as_ref()) else { return Ok(None) };
        Ok(match own::load(&self.services, &handle).await {
            Ok(live) => live.map(|live| state_of(&live, &csrf_token_of(&self.csrf_key, key.as_ref()))),
            Err(error) => {
                // Logs it; the answer is given by `super::authenticate`.
                let _ = Problem::from(error);
                Some(HashMap::from([(FAILED.to_owned(), "true".to_owned())]))
            }
        })
    }

    async fn save(&self, state: HashMap<String, String>, _: &Duration) -> Result<SessionKey, SaveError> {
        // State that no service put there gets a cookie that `super::cookie_guard` drops: better than an empty 500.
        new_key(&state).unwrap_or_default().try_into().map_err(|error| SaveError::Other(anyhow::Error::new(error)))
    }

    async fn update(
        &self,
        key: SessionKey,
        state: HashMap<String, String>,
        _: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        Ok(new_key(&state).and_then(|new| new.try_into().ok()).unwrap_or(key))
    }

    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn delete(&self, _: &SessionKey) -> Result<(), anyhow::Error> {
        Ok(())
    }
}

/// New with every new secret, and kept nowhere.
fn csrf_token_of(key: &[u8; 32], session_key: &str) -> String {
    URL_SAFE_NO_PAD.encode(mac(key, &[session_key.as_bytes()]))
}

/// actix-session keeps each value as JSON.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn new_key(state: &HashMap<String, String>) -> Option<String> {
    serde_json::from_str(state.get(NEW_KEY)?).ok()
}

fn state_of(live: &LiveSession, csrf_token: &str) -> HashMap<String, String> {
    HashMap::from([
        (IDENTITY.to_owned(), json(&live.user_id)),
        (SESSION.to_owned(), json(live)),
        (CSRF_TOKEN.to_owned(), json(&csrf_token)),
    ])
}

/// Whether the store could not be asked.
pub(super) fn has_failed(session: &Session) -> bool {
    session.contains_key(FAILED)
}

/// What the store said of the session that this request came with; `None` for a guest.
pub(super) fn live_session(session: &Session) -> Option<LiveSession> {
    session.get(SESSION).ok().flatten()
}

/// What the forms of this session must carry; `None` for a guest.
pub(super) fn csrf_token(session: &Session) -> Option<String> {
    session.get(CSRF_TOKEN).ok().flatten()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::{Clock, Role, SessionId, SessionKind, UserId};

    pub fn live(role: Role) -> LiveSession {
        let now = Clock::default().now();
        LiveSession {
            user_id: UserId::new(now),
            session_id: SessionId::new(now),
            kind: SessionKind::Browser,
            role,
            remember: true,
            created_at: now,
            password_entered_at: now,
            absolute_limit: now,
        }
    }

    /// A store with one session in it, or one that doesn't answer. The key `live` opens the session.
    pub struct OneSession(pub Option<LiveSession>);

    impl SessionStore for OneSession {
        async fn load(&self, key: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
            Ok(match &self.0 {
                Some(live) => (key.as_ref() == "live").then(|| state_of(live, "right-token")),
                None => Some(HashMap::from([(FAILED.to_owned(), "true".to_owned())])),
            })
        }
        async fn save(&self, state: HashMap<String, String>, _: &Duration) -> Result<SessionKey, SaveError> {
            Ok(new_key(&state).unwrap_or_default().try_into().unwrap())
        }
        async fn update(
            &self,
            key: SessionKey,
            _: HashMap<String, String>,
            _: &Duration,
        ) -> Result<SessionKey, UpdateError> {
            Ok(key)
        }
        async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> Result<(), anyhow::Error> {
            Ok(())
        }
        async fn delete(&self, _: &SessionKey) -> Result<(), anyhow::Error> {
            Ok(())
        }
    }

    /// The middleware over [`OneSession`], as on plain http, and the cookie pair that opens `key`.
    pub fn one_session(live: Option<LiveSession>) -> SessionMiddleware<OneSession> {
        SessionMiddleware::builder(OneSession(live), Key::derive_from(&[1; 32]))
            .cookie_name("portcullis".to_owned())
            .cookie_secure(false)
            .cookie_content_security(CookieContentSecurity::Signed)
            .session_lifecycle(BrowserSession::default())
            .build()
    }

    pub fn cookie_with(key: &str) -> String {
        let mut jar = actix_web::cookie::CookieJar::new();
        jar.signed_mut(&Key::derive_from(&[1; 32])).add(actix_web::cookie::Cookie::new("portcullis", key.to_owned()));
        jar.get("portcullis").unwrap().encoded().to_string()
    }

    #[test]
    fn a_session_passes_through_the_state_unchanged() {
        for role in Role::ALL {
            let live = live(*role);
            let carried: LiveSession = serde_json::from_str(&state_of(&live, "token")[SESSION]).unwrap();
            assert_eq!(carried, live);
        }
    }

    #[test]
    fn the_form_token_changes_with_the_secret_and_with_the_key() {
        let token = csrf_token_of(&[1; 32], "u.s.secret");
        assert_eq!(token, csrf_token_of(&[1; 32], "u.s.secret"));
        assert_ne!(token, csrf_token_of(&[1; 32], "u.s.other"));
        assert_ne!(token, csrf_token_of(&[2; 32], "u.s.secret"));
    }
}
