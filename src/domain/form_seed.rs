//! What makes a form that is sent twice lead to one thing: the secrets that it is given are computed from what was sent.
//!
//! Somebody clicks twice, or the answer is lost and the browser sends the same bytes again. Each form that is given a
//! secret has a [`FormId`] in it, and its seed is a MAC of all that was sent, passwords included, and of the browser's name.
//! So a repeat finds the secret that the first has made, nothing has to be kept for it but where a link was used up, and it
//! works as long as what it belongs to is there. It takes the form: whoever has an old cookie knows neither the id nor the
//! password. And it takes the cookie that the form was sent with: no form ever gives a secret a second time that was
//! replaced meanwhile.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;

use super::keys::{Secret, SecretHash, mac};
use super::{SessionId, Timestamp, UserId};

/// For how long after it has been done a form is a repeat.
pub const REPEAT_GRACE: TimeDelta = TimeDelta::minutes(1);

/// Whether what comes now may be a repeat of what was done then. The clock of the node that did it may be ahead.
pub fn may_repeat(done: Timestamp, now: Timestamp) -> bool {
    (now - done).abs() < REPEAT_GRACE
}

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
pub struct FormSeed {
    seed: [u8; 32],
    /// The hash of the secret in the cookie that came with it.
    presented: Option<[u8; 32]>,
}

/// A form as it came.
pub struct SentForm<'a> {
    /// Where it was sent.
    pub path: &'a str,
    pub body: &'a [u8],
    /// What the browser calls itself.
    pub user_agent: &'a [u8],
    /// Of the session's cookie that came with it, also of one that was replaced.
    pub presented: Option<SecretHash>,
}

impl FormSeed {
    /// Of a form that has an id.
    pub fn of(key: &[u8; 32], form: &SentForm<'_>) -> Self {
        let SentForm { path, body, user_agent, presented } = *form;
        let [path_length, agent_length] = [path.as_bytes(), user_agent].map(|part| (part.len() as u64).to_be_bytes());
        let seed = mac(key, &[&path_length, path.as_bytes(), &agent_length, user_agent, body]);
        Self { seed, presented: presented.map(|secret| secret.0) }
    }

    /// The secret of a session that the form opens.
    pub fn session_secret(&self, session: SessionId) -> Secret {
        Secret::new(self.derive(b"session", session.0.as_bytes()))
    }

    /// The secret that the form gives to the session with whose cookie it came, in the place of that one. `None` of a form
    /// that came with none.
    pub fn next_secret(&self, session: SessionId) -> Option<Secret> {
        let replaced = self.presented?;
        let of = [session.0.as_bytes().as_slice(), &replaced].concat();
        Some(Secret::new(self.derive(b"next   ", &of)))
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
        mac(&self.seed, &[purpose, of])
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
        let seed_of =
            |key, path, user_agent, body| FormSeed::of(key, &SentForm { path, user_agent, body, presented: None });
        let seed = seed_of(&[1; 32], "/login", b"Firefox", b"a=1");
        assert_eq!(seed, seed_of(&[1; 32], "/login", b"Firefox", b"a=1"));
        for (key, path, user_agent, body) in [
            (&[2; 32], "/login", &b"Firefox"[..], &b"a=1"[..]),
            (&[1; 32], "/log", b"Firefox", b"ina=1"),
            (&[1; 32], "/login", b"Firefox", b"a=2"),
            (&[1; 32], "/login", b"Firefo", b"xa=1"),
            (&[1; 32], "/login", b"Chrome", b"a=1"),
            (&[1; 32], "/confirm", b"Firefox", b"a=1"),
        ] {
            assert_ne!(seed, seed_of(key, path, user_agent, body), "{path}");
        }
    }

    #[test]
    fn each_session_and_account_gets_a_secret_of_its_own() {
        let now = Clock::default().now();
        let with = |presented| {
            FormSeed::of(&[1; 32], &SentForm { path: "/confirm", user_agent: b"", body: b"a=1", presented })
        };
        let seed = with(None);
        let (session, user) = (SessionId::new(now), UserId(uuid::Uuid::nil()));
        let secret = seed.session_secret(session).reveal();
        assert_eq!(secret, seed.session_secret(session).reveal());
        assert_ne!(secret, seed.session_secret(SessionId::new(now)).reveal());
        assert_ne!(seed.link_token(user).reveal(), seed.session_secret(SessionId(user.0)).reveal());
        assert_eq!(format!("{seed:?}"), "FormSeed(…)");

        // In the place of another one it gives another one.
        let [one, two] = [(); 2].map(|()| Some(Secret::generate().hash()));
        let next = |presented, session| with(presented).next_secret(session).map(|secret| secret.reveal());
        assert_eq!(next(one, session), next(one, session));
        assert_ne!(next(one, session), next(two, session));
        assert_ne!(next(one, session), next(one, SessionId::new(now)));
        assert_ne!(next(one, session), Some(secret));
        assert_eq!(next(None, session), None);
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
