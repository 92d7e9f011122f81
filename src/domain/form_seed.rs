//! What makes a form that is sent twice lead to one thing: the secrets that it is given are computed from what was sent.
//!
//! Somebody clicks twice, or the answer is lost and the browser sends the same bytes again. Each form that is given a
//! secret has a [`FormId`] in it, and its seed is a MAC of all that was sent, passwords included. So a repeat finds the
//! secret that the first has made, nothing has to be kept for it, and it works as long as what it belongs to is there. It
//! takes the form: whoever has an old cookie knows neither the id nor the password.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;

use super::keys::{Secret, SecretHash, mac};
use super::{SessionId, UserId};

/// For how long after it has been done a form is a repeat.
pub const REPEAT_GRACE: TimeDelta = TimeDelta::minutes(1);

/// Bytes of a [`FormId`].
const BYTES: usize = 16;

/// The one-time token of a form: of each page that is shown, another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormId(String);

impl FormId {
    pub fn generate() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; BYTES]>()))
    }

    /// Of the form that [`FormId::generate`] gives it: less could be guessed.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == BYTES).then(|| Self(text.to_owned()))
    }
}

impl std::fmt::Display for FormId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a form's secrets are computed from. Doesn't print.
#[derive(Clone, PartialEq, Eq)]
pub struct FormSeed([u8; 32]);

impl FormSeed {
    /// Of a form that has an id, as it came: where it was sent, and its body.
    pub fn of(key: &[u8; 32], path: &str, body: &[u8]) -> Self {
        Self(mac(key, &[&(path.len() as u64).to_be_bytes(), path.as_bytes(), body]))
    }

    /// The secret of a session that the form opens, or gives a new one.
    pub fn session_secret(&self, session: SessionId) -> Secret {
        Secret::new(self.derive(b"session", session.0.as_bytes()))
    }

    /// The token of a link with which the account that the form creates gets its password.
    pub fn link_token(&self, user: UserId) -> Secret {
        Secret::new(self.derive(b"link   ", user.0.as_bytes()))
    }

    /// Stands for a form that has been done, where it leaves nothing else by which to know that.
    pub fn mark(&self) -> SecretHash {
        SecretHash(self.derive(b"mark   ", &[]))
    }

    fn derive(&self, purpose: &[u8; 7], of: &[u8]) -> [u8; 32] {
        mac(&self.0, &[purpose, of])
    }
}

impl std::fmt::Debug for FormSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FormSeed(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clock;

    #[test]
    fn only_the_same_form_has_the_same_seed() {
        let seed = FormSeed::of(&[1; 32], "/login", b"a=1");
        assert_eq!(seed, FormSeed::of(&[1; 32], "/login", b"a=1"));
        for (key, path, body) in [
            (&[2; 32], "/login", &b"a=1"[..]),
            (&[1; 32], "/log", b"ina=1"),
            (&[1; 32], "/login", b"a=2"),
            (&[1; 32], "/confirm", b"a=1"),
        ] {
            assert_ne!(seed, FormSeed::of(key, path, body), "{path}");
        }
    }

    #[test]
    fn each_session_and_account_gets_a_secret_of_its_own() {
        let (seed, now) = (FormSeed::of(&[1; 32], "/login", b"a=1"), Clock::default().now());
        let (session, user) = (SessionId::new(now), UserId(uuid::Uuid::nil()));
        let secret = seed.session_secret(session).reveal();
        assert_eq!(secret, seed.session_secret(session).reveal());
        assert_ne!(secret, seed.session_secret(SessionId::new(now)).reveal());
        assert_ne!(seed.link_token(user).reveal(), seed.session_secret(SessionId(user.0)).reveal());
        assert_eq!(format!("{seed:?}"), "FormSeed(…)");
    }

    #[test]
    fn an_id_that_could_be_guessed_is_none() {
        let id = FormId::generate();
        assert_eq!(FormId::parse(&id.to_string()), Some(id.clone()));
        assert_ne!(id, FormId::generate());
        for text in ["", "x", "AAAA", &format!("{id}A"), &format!("{id}=")] {
            assert_eq!(FormId::parse(text), None, "{text}");
        }
    }
}
