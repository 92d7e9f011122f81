//! Keys made, and sealed for SQL.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretSlice};
use serde_json::{Value, json};

use super::{KeyError, SigningAlgorithm};
use crate::domain::keys::RootKey;

/// A key that was just made, its private part sealed: what SQL gets.
#[derive(Clone, Debug)]
pub struct SealedKey {
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    /// PKCS#8, sealed by [`Vault`].
    pub private_key: Vec<u8>,
    /// RFC 7517, as text.
    pub public_jwk: String,
}

impl SealedKey {
    /// Makes a new key. Takes a good part of a second for RS256. HS256 is refused: its secret is a setting.
    pub fn generate(algorithm: SigningAlgorithm, vault: &Vault) -> Result<Self, KeyError> {
        let kid = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        let (pkcs8, public) = generate(algorithm)?;
        let mut jwk = public;
        jwk["kid"] = kid.as_str().into();
        jwk["alg"] = algorithm.as_str().into();
        jwk["use"] = "sig".into();
        let private_key = vault.seal(&kid, algorithm, &pkcs8)?;
        Ok(Self { kid, algorithm, private_key, public_jwk: jwk.to_string() })
    }
}

/// A private key as PKCS#8, and the members of its JWK that say the public one (RFC 7518 section 6, RFC 8037).
fn generate(algorithm: SigningAlgorithm) -> Result<(SecretSlice<u8>, Value), KeyError> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match algorithm {
        SigningAlgorithm::EdDsa => {
            let pair = Ed25519KeyPair::generate()?;
            let public = json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())});
            Ok((pair.to_pkcs8v1()?.as_ref().to_vec().into(), public))
        }
        SigningAlgorithm::Es256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
            // SEC 1, section 2.3.3: 4, then x and y of 32 bytes each.
            let point = pair.public_key().as_ref();
            let (x, y) = point.get(1..33).zip(point.get(33..65)).ok_or(KeyError::Form)?;
            let public = json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)});
            Ok((pair.to_pkcs8v1()?.as_ref().to_vec().into(), public))
        }
        SigningAlgorithm::Rs256 => {
            // 2048 bits are what every verifier takes; the key is replaced long before they are too few.
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            let public: PublicKeyComponents<Vec<u8>> = pair.public_key().into();
            let public = json!({"kty": "RSA", "n": text(&public.n), "e": text(&public.e)});
            let pkcs8: Pkcs8V1Der<'_> = pair.as_der()?;
            Ok((pkcs8.as_ref().to_vec().into(), public))
        }
        SigningAlgorithm::Hs256 => Err(KeyError::Form),
    }
}

/// Seals private keys for SQL: AES-256-GCM under a key derived from the root key, bound to `kid` and algorithm.
pub struct Vault(RandomizedNonceKey);

impl Vault {
    pub fn new(root: &RootKey) -> Result<Self, KeyError> {
        Ok(Self(RandomizedNonceKey::new(&AES_256_GCM, &root.derive("signing keys"))?))
    }

    /// Nonce, ciphertext and tag, one after the other.
    fn seal(&self, kid: &str, algorithm: SigningAlgorithm, plain: &SecretSlice<u8>) -> Result<Vec<u8>, KeyError> {
        let mut text = plain.expose_secret().to_vec();
        let nonce = self.0.seal_in_place_append_tag(bound_to(kid, algorithm), &mut text)?;
        Ok([nonce.as_ref().as_slice(), &text].concat())
    }

    pub(super) fn open(
        &self,
        kid: &str,
        algorithm: SigningAlgorithm,
        sealed: &[u8],
    ) -> Result<SecretSlice<u8>, KeyError> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(KeyError::Crypto)?;
        let mut text = zeroize::Zeroizing::new(text.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        Ok(self.0.open_in_place(nonce, bound_to(kid, algorithm), &mut text)?.to_vec().into())
    }
}

fn bound_to(kid: &str, algorithm: SigningAlgorithm) -> Aad<String> {
    Aad::from(format!("{kid} {algorithm}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Verifier, is_kid};
    use super::*;

    const MADE: [SigningAlgorithm; 3] = [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256, SigningAlgorithm::Rs256];

    pub fn vault(byte: u8) -> Vault {
        Vault::new(&RootKey::new(vec![byte; 32])).unwrap()
    }

    #[test]
    fn a_published_key_says_nothing_of_its_private_part() {
        for algorithm in MADE {
            let key = SealedKey::generate(algorithm, &vault(1)).unwrap();
            let jwk: Value = serde_json::from_str(&key.public_jwk).unwrap();
            let mut members: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
            members.sort_unstable();
            let expected: &[&str] = match algorithm {
                SigningAlgorithm::EdDsa => &["alg", "crv", "kid", "kty", "use", "x"],
                SigningAlgorithm::Es256 => &["alg", "crv", "kid", "kty", "use", "x", "y"],
                _ => &["alg", "e", "kid", "kty", "n", "use"],
            };
            assert_eq!(members, expected);
            assert!(is_kid(&key.kid) && jwk["kid"] == key.kid && jwk["alg"] == algorithm.as_str());
            assert!(Verifier::of_jwk(algorithm, &jwk).is_ok());
        }
        assert!(SealedKey::generate(SigningAlgorithm::Hs256, &vault(1)).is_err());
    }

    #[test]
    fn the_same_key_sealed_twice_looks_different_and_never_like_itself() {
        let (vault, plain) = (vault(1), SecretSlice::from(vec![7; 48]));
        let sealed = || vault.seal("kid", SigningAlgorithm::EdDsa, &plain).unwrap();
        assert_ne!(sealed(), sealed());
        assert!(!sealed().windows(8).any(|window| window == [7; 8]));
    }
}
