//! Secrets: the root key, session secrets, one-time tokens. None of them prints.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{SessionId, UserId};

/// `secret_key`: at least 32 bytes, the root from which every other key of this installation is derived.
#[derive(Clone)]
pub struct RootKey(SecretSlice<u8>);

impl RootKey {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// A key for one purpose: HMAC-SHA-256 of the purpose under the root (RFC 5869's expand step with one block).
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        self.mac(&[b"portcullis key ", purpose.as_bytes()])
    }

    /// What SQL keeps of the root key, to notice a node that was given another one.
    pub fn fingerprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.derive("fingerprint")[..12])
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        mac(self.0.expose_secret(), parts)
    }
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(…)")
    }
}

/// HMAC-SHA-256 (RFC 2104) of the parts one after the other; the caller sees to it that they can't run together.
pub fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// What SQL and Redis keep instead of a secret: its SHA-256. The secrets have 256 random bits, so a fast hash is enough.
#[derive(Clone, Copy, Debug)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    /// Compares in constant time.
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

/// 256 random bits that only their holder has: of a session's cookie, or of a one-time link.
#[derive(Clone)]
pub struct Secret(SecretSlice<u8>);

impl Secret {
    pub fn generate() -> Self {
        Self::new(rand::random())
    }

    /// One that is computed anew whenever it is needed.
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes.to_vec().into())
    }

    /// Only the spelling that [`Secret::reveal`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(bytes.into()))
    }

    /// In clear, 43 characters of base64url: for the cookie or the link itself, nowhere else.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.expose_secret())
    }

    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0.expose_secret()).into())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The cookie's value: `user.session.secret`. The user is part of it because it names the slot in a Redis Cluster.
#[derive(Clone, Debug)]
pub struct SessionHandle {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub secret: Secret,
}

impl SessionHandle {
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let handle = Self {
            user_id: parts.next()?.parse().ok()?,
            session_id: parts.next()?.parse().ok()?,
            secret: Secret::parse(parts.next()?)?,
        };
        parts.next().is_none().then_some(handle)
    }

    /// In clear, for the cookie alone.
    pub fn reveal(&self) -> String {
        format!("{}.{}.{}", self.user_id, self.session_id, self.secret.reveal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clock;

    #[test]
    fn a_handle_is_read_back_as_it_was_written_and_in_no_other_spelling() {
        let now = Clock::default().now();
        let handle =
            SessionHandle { user_id: UserId::new(now), session_id: SessionId::new(now), secret: Secret::generate() };
        let text = handle.reveal();
        assert_eq!(SessionHandle::parse(&text).map(|read| read.reveal()), Some(text.clone()));
        for wrong in [text.to_uppercase(), format!("{text}="), format!("{text}.x"), text[..text.len() - 1].to_owned()] {
            assert!(SessionHandle::parse(&wrong).is_none_or(|read| read.reveal() != text), "{wrong}");
        }
        assert!(SessionHandle::parse(&text[1..]).is_none());
    }

    #[test]
    fn keys_of_different_purposes_differ_and_nothing_prints_a_secret() {
        let root = RootKey::new(vec![7; 32]);
        assert_ne!(root.derive("cookie"), root.derive("csrf"));
        assert_eq!(format!("{root:?} {:?}", Secret::generate()), "RootKey(…) Secret(…)");
    }
}
