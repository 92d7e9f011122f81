//! Keys that sign access tokens: made, sealed for SQL, published (RFC 7517), and read back.
//!
//! A key is named by its `kid`, 128 random bits, and by nothing else. Its algorithm is fixed when it is made; what a
//! token says of its algorithm is only ever compared with that.

mod sealed;

use aws_lc_rs::error::{KeyRejected, Unspecified};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use secrecy::ExposeSecret as _;
use serde_json::Value;

pub use self::sealed::{SealedKey, Vault};
use super::Timestamp;
use super::text::text_enum;

/// The `kid` of `jwt_secret`: not of the form that generated keys have, so that the two can't meet.
pub const SHARED_KID: &str = "jwt_secret";

text_enum!(
    /// How access tokens are signed; the words are those of `alg` (RFC 7518, RFC 8037).
    SigningAlgorithm {
        EdDsa = "EdDSA",
        Es256 = "ES256",
        Rs256 = "RS256",
        /// With `jwt_secret`, which is not one of the keys in SQL.
        Hs256 = "HS256",
    }
);

impl SigningAlgorithm {
    pub(super) fn of_jsonwebtoken(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }
}

text_enum!(
    /// Where a key is in its life. After `retired` it is gone.
    KeyState {
        /// Published, so that whoever verifies knows it before its first use.
        Next = "next",
        /// Signs.
        Active = "active",
        /// Verifies what it signed, until the last of that is dead.
        Retired = "retired",
    }
);

/// A key as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyInfo {
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    pub state: KeyState,
    pub created_at: Timestamp,
    pub active_from: Option<Timestamp>,
    pub retired_at: Option<Timestamp>,
}

/// Why a key can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("a signing key could not be made, sealed or opened")]
    Crypto,
    #[error("a signing key is not of the form that its algorithm asks for")]
    Form,
}

impl From<Unspecified> for KeyError {
    fn from(_: Unspecified) -> Self {
        Self::Crypto
    }
}

impl From<KeyRejected> for KeyError {
    fn from(_: KeyRejected) -> Self {
        Self::Form
    }
}

/// Whether this could be the `kid` of a generated key: 22 characters of base64url, in their one spelling.
pub fn is_kid(text: &str) -> bool {
    text.len() == 22 && URL_SAFE_NO_PAD.decode(text).is_ok()
}

/// What signs. `Debug` shows no key.
#[derive(Debug)]
pub struct Signer {
    pub(super) kid: String,
    pub(super) algorithm: SigningAlgorithm,
    pub(super) key: EncodingKey,
}

impl Signer {
    /// Opens the sealed private key of SQL.
    pub fn open(kid: &str, algorithm: SigningAlgorithm, sealed: &[u8], vault: &Vault) -> Result<Self, KeyError> {
        let pkcs8 = vault.open(kid, algorithm, sealed)?;
        let key = match algorithm {
            SigningAlgorithm::EdDsa => EncodingKey::from_ed_der(pkcs8.expose_secret()),
            SigningAlgorithm::Es256 => EncodingKey::from_ec_der(pkcs8.expose_secret()),
            SigningAlgorithm::Rs256 => EncodingKey::from_rsa_der(rsa_private_key(pkcs8.expose_secret())?),
            SigningAlgorithm::Hs256 => return Err(KeyError::Form),
        };
        Ok(Self { kid: kid.to_owned(), algorithm, key })
    }

    /// Signs with `jwt_secret`.
    pub fn shared(secret: &[u8]) -> Self {
        let key = EncodingKey::from_secret(secret);
        Self { kid: SHARED_KID.to_owned(), algorithm: SigningAlgorithm::Hs256, key }
    }
}

/// The `RSAPrivateKey` (RFC 8017) inside a `PrivateKeyInfo` (RFC 5208): jsonwebtoken signs with the former alone. For
/// a key of 2048 bits or more each length takes two bytes, so what stands before it is always the same.
fn rsa_private_key(pkcs8: &[u8]) -> Result<&[u8], KeyError> {
    const VERSION_AND_ALGORITHM: [u8; 18] =
        [2, 1, 0, 0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    match pkcs8 {
        [0x30, 0x82, _, _, rest @ ..] => match rest.strip_prefix(VERSION_AND_ALGORITHM.as_slice()) {
            Some([4, 0x82, _, _, key @ ..]) => Ok(key),
            _ => Err(KeyError::Form),
        },
        _ => Err(KeyError::Form),
    }
}

/// What verifies.
#[derive(Clone, Debug)]
pub struct Verifier {
    pub(super) algorithm: SigningAlgorithm,
    pub(super) key: DecodingKey,
}

impl Verifier {
    /// Reads a JWK as [`SealedKey`] has it.
    pub fn of_jwk(algorithm: SigningAlgorithm, jwk: &Value) -> Result<Self, KeyError> {
        let member = |name: &str| jwk.get(name).and_then(Value::as_str).ok_or(KeyError::Form);
        let key = match algorithm {
            SigningAlgorithm::EdDsa => DecodingKey::from_ed_components(member("x")?),
            SigningAlgorithm::Es256 => DecodingKey::from_ec_components(member("x")?, member("y")?),
            SigningAlgorithm::Rs256 => DecodingKey::from_rsa_components(member("n")?, member("e")?),
            SigningAlgorithm::Hs256 => return Err(KeyError::Form),
        };
        Ok(Self { algorithm, key: key.map_err(|_| KeyError::Form)? })
    }

    /// Verifies with `jwt_secret`.
    pub fn shared(secret: &[u8]) -> Self {
        Self { algorithm: SigningAlgorithm::Hs256, key: DecodingKey::from_secret(secret) }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::aead::NONCE_LEN;

    use super::sealed::tests::vault;
    use super::*;

    #[test]
    fn a_sealed_key_opens_only_under_its_root_key_its_kid_and_its_algorithm() {
        let key = SealedKey::generate(SigningAlgorithm::EdDsa, &vault(1)).unwrap();
        let opens = |kid: &str, algorithm, sealed: &[u8], byte| Signer::open(kid, algorithm, sealed, &vault(byte));
        assert!(opens(&key.kid, key.algorithm, &key.private_key, 1).is_ok());
        assert!(opens(&key.kid, key.algorithm, &key.private_key, 2).is_err());
        assert!(opens("another", key.algorithm, &key.private_key, 1).is_err());
        assert!(opens(&key.kid, SigningAlgorithm::Es256, &key.private_key, 1).is_err());
        for at in [0, NONCE_LEN, key.private_key.len() - 1] {
            let mut changed = key.private_key.clone();
            changed[at] ^= 1;
            assert!(opens(&key.kid, key.algorithm, &changed, 1).is_err(), "{at}");
        }
        assert!(opens(&key.kid, key.algorithm, &[], 1).is_err());
    }

    #[test]
    fn a_kid_has_one_form_and_that_of_the_shared_secret_is_another() {
        assert!(is_kid("AAAAAAAAAAAAAAAAAAAAAA"));
        for wrong in ["", "AAAAAAAAAAAAAAAAAAAAAB", "../../../../../dev/nul", "AAAAAAAAAAAAAAAAAAAAA=", SHARED_KID] {
            assert!(!is_kid(wrong), "{wrong}");
        }
    }

    #[test]
    fn nothing_prints_a_private_key() {
        let key = SealedKey::generate(SigningAlgorithm::EdDsa, &vault(1)).unwrap();
        let signer = Signer::open(&key.kid, key.algorithm, &key.private_key, &vault(1)).unwrap();
        assert!(format!("{signer:?}").contains("redacted"), "{signer:?}");
        assert!(format!("{:?}", Signer::shared(b"s3cret")).contains("redacted"));
    }
}
