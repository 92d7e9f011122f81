//! The door between actix-session and the records: sessions are read through it, and never opened, changed or ended.
//!
//! actix-session would keep state at the end of each request and so bring back what ended meanwhile. Here state is
//! made anew from the record at each request and never kept: `save` and `update` only name the cookie's new value. It
//! has what actix-identity looks for; all else is [left](authenticate::leave) for the request itself.

use std::collections::HashMap;

use actix_identity::IdentityMiddleware;
use actix_session::SessionMiddleware;
use actix_session::config::{BrowserSession, CookieContentSecurity};
use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Key, SameSite};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::authenticate::{self, Loaded};
use super::cookie_session::{CookieSession, Former};
use super::cookies::{CookieNames, OurCookie};
use super::problem::Problem;
use crate::domain::SessionId;
use crate::domain::keys::{SessionHandle, mac};
use crate::services::Services;
use crate::services::sessions::own;

/// Where [`super::session_cookie`] leaves the handle of a session that a service opened or gave a new secret.
pub(super) const NEW_KEY: &str = "portcullis.new_key";
/// Where actix-identity looks by default.
const IDENTITY: &str = "actix_identity.user_id";

/// The signed session cookie, for the pages' scope. Build it in the `App` factory; it holds no state of its own.
pub fn session_middleware(services: &Services) -> SessionMiddleware<Records> {
    let https = services.settings.public_url.is_https();
    let key = Key::derive_from(&services.root_key.derive("cookie"));
    let records = Records { services: services.clone(), csrf_key: services.root_key.derive("csrf") };
    SessionMiddleware::builder(records, key)
        .cookie_name(OurCookie::Session.name(&CookieNames::of(&services.settings)).to_owned())
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
    /// No error for anything that a store does: actix-session would answer it with an empty 500 that no other middleware
    /// sees.
    async fn load(&self, key: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
        let Some(handle) = SessionHandle::parse(key.as_ref()) else { return Ok(None) };
        let loaded = match own::load(&self.services, &handle).await {
            Ok(Some(live)) => {
                let (csrf_token, secret) = (csrf_token_of(&self.csrf_key, live.id), handle.secret.hash());
                Loaded::Live(CookieSession { live, secret, csrf_token, repeats: false })
            }
            Ok(None) => {
                let SessionHandle { user_id, session_id, secret } = handle;
                let csrf_token = csrf_token_of(&self.csrf_key, session_id);
                Loaded::Former(Former { user_id, session_id, secret: secret.hash(), csrf_token })
            }
            Err(error) => {
                // Logs it; the answer is given by `super::authenticate`.
                let _ = Problem::from(error);
                Loaded::Failed
            }
        };
        hand_over(loaded)
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

/// The same as long as the session lives, also when it gets a new secret: that leaves the forms of other tabs good. Kept
/// nowhere.
fn csrf_token_of(key: &[u8; 32], session: SessionId) -> String {
    URL_SAFE_NO_PAD.encode(mac(key, &[session.0.as_bytes()]))
}

fn new_key(state: &HashMap<String, String>) -> Option<String> {
    serde_json::from_str(state.get(NEW_KEY)?).ok()
}

/// Leaves for the request what was loaded; state is who is signed in, as JSON, and nothing else. A guest has none.
fn hand_over(loaded: Loaded) -> Result<Option<HashMap<String, String>>, LoadError> {
    let state = match &loaded {
        Loaded::Live(session) => {
            let user_id = serde_json::Value::from(session.live.user_id.to_string());
            Some(HashMap::from([(IDENTITY.to_owned(), user_id.to_string())]))
        }
        Loaded::Failed => Some(HashMap::new()),
        Loaded::Former(_) => None,
    };
    authenticate::leave(loaded).map_err(|error| LoadError::Other(anyhow::Error::new(error)))?;
    Ok(state)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::session::{LiveSession, SessionCore};
    use crate::domain::{Clock, Role, SessionKind, UserId};

    pub fn live(role: Role) -> LiveSession {
        let now = Clock::default().now();
        LiveSession {
            core: SessionCore {
                id: SessionId::new(now),
                user_id: UserId::new(now),
                kind: SessionKind::Browser,
                remember: true,
                created_at: now,
                password_entered_at: now,
                absolute_limit: now,
            },
            role,
        }
    }

    /// A store that says of each key what the function does.
    pub struct Answering<F>(F);

    impl<F: AsyncFn(&str) -> Option<Loaded>> SessionStore for Answering<F> {
        async fn load(&self, key: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
            (self.0)(key.as_ref()).await.map_or(Ok(None), hand_over)
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

    /// The middleware over such a store, as on plain http.
    pub fn answering<F: AsyncFn(&str) -> Option<Loaded>>(answer: F) -> SessionMiddleware<Answering<F>> {
        SessionMiddleware::builder(Answering(answer), Key::derive_from(&[1; 32]))
            .cookie_name("portcullis".to_owned())
            .cookie_secure(false)
            .cookie_content_security(CookieContentSecurity::Signed)
            .session_lifecycle(BrowserSession::default())
            .build()
    }

    /// A store with one session in it, which the key `live` opens, or one that doesn't answer.
    pub fn one_session(live: Option<LiveSession>) -> SessionMiddleware<impl SessionStore> {
        answering(async move |key: &str| match &live {
            Some(live) => (key == "live").then(|| {
                Loaded::Live(CookieSession {
                    live: *live,
                    secret: crate::domain::keys::SecretHash([0; 32]),
                    csrf_token: "right-token".to_owned(),
                    repeats: false,
                })
            }),
            None => Some(Loaded::Failed),
        })
    }

    /// The cookie pair that opens `key` there.
    pub fn cookie_with(key: &str) -> String {
        let mut jar = actix_web::cookie::CookieJar::new();
        jar.signed_mut(&Key::derive_from(&[1; 32])).add(actix_web::cookie::Cookie::new("portcullis", key.to_owned()));
        jar.get("portcullis").unwrap().encoded().to_string()
    }

    #[test]
    fn the_form_token_changes_with_the_session_and_with_the_key() {
        let now = Clock::default().now();
        let session = SessionId::new(now);
        let token = csrf_token_of(&[1; 32], session);
        assert_eq!(token, csrf_token_of(&[1; 32], session));
        assert_ne!(token, csrf_token_of(&[1; 32], SessionId::new(now)));
        assert_ne!(token, csrf_token_of(&[2; 32], session));
    }
}
