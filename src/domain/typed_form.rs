//! What was typed into a form, kept while the password is asked for: sealed, in the address to which one goes on. It says
//! nothing to whoever reads the address, and opens only in the session in which it was typed, for the same form, soon.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;

use super::keys::RootKey;
use super::{SessionId, Timestamp};

/// How long one may take to enter the password.
const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// Bytes of a moment in front of what was typed.
const MOMENT: usize = 8;

/// A form of a session: in which one, and to where it is sent.
pub struct TypedForm<'a> {
    pub session: SessionId,
    pub path: &'a str,
}

impl TypedForm<'_> {
    /// `typed`, sealed. `None` where that fails, which is no reason to refuse what it is kept for.
    pub fn seal(&self, root: &RootKey, typed: &str, now: Timestamp) -> Option<String> {
        let until = (now + LIFETIME).timestamp_millis().to_be_bytes();
        let mut text = [&until, typed.as_bytes()].concat();
        let nonce = key(root)?.seal_in_place_append_tag(self.bound_to(), &mut text).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &text].concat()))
    }

    /// What was typed. `None` of anything else.
    pub fn open(&self, root: &RootKey, sealed: &str, now: Timestamp) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let mut text = text.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = key(root)?.open_in_place(nonce, self.bound_to(), &mut text).ok()?;
        let (until, typed) = text.split_at_checked(MOMENT)?;
        let until = Timestamp::from_millis(i64::from_be_bytes(until.try_into().ok()?));
        (now < until).then(|| String::from_utf8(typed.to_vec()).ok()).flatten()
    }

    fn bound_to(&self) -> Aad<String> {
        Aad::from(format!("{} {}", self.session, self.path))
    }
}

fn key(root: &RootKey) -> Option<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, &root.derive("typed forms")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clock;

    #[test]
    fn what_was_typed_opens_only_in_its_session_for_its_form_and_soon() {
        let (root, now) = (RootKey::new(vec![7; 32]), Clock::default().now());
        let (session, path) = (SessionId::new(now), "/admin/users/new");
        let form = TypedForm { session, path };
        let sealed = form.seal(&root, "name=Ada", now).unwrap();
        assert!(!sealed.contains("Ada"));
        assert_eq!(form.open(&root, &sealed, now).as_deref(), Some("name=Ada"));
        assert_eq!(form.open(&root, &sealed, now + LIFETIME), None);
        assert_eq!(form.open(&RootKey::new(vec![8; 32]), &sealed, now), None);
        assert_eq!(TypedForm { session: SessionId::new(now), path }.open(&root, &sealed, now), None);
        assert_eq!(TypedForm { session, path: "/admin/users/x" }.open(&root, &sealed, now), None);
        for other in ["", "x", "AAAA", &sealed[1..], &sealed[..sealed.len() - 4]] {
            assert_eq!(form.open(&root, other, now), None, "{other}");
        }
    }
}
