//! How systems write a password hash: PHC strings, modular crypt format as passlib writes it, and Django's own.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Bcrypt, Digest, PasswordHash};

/// Bytes of the shortest hash that is taken: a shorter one fits passwords that it was not made of.
const MIN_HASH: usize = 16;
/// Bytes that are kept of a hash of scrypt.
const MAX_HASH: usize = 64;
/// Bytes of the longest salt.
const MAX_SALT: usize = 128;

/// Padded or not. Bits beyond the last byte are ignored, as bcrypt's own libraries do.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
/// Base64 with an order of its own.
pub(super) const BCRYPT: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, LENIENT);

/// Why a text is no hash that can be checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("Only Argon2, bcrypt, scrypt and PBKDF2 are taken, as PHC strings or in Django's form.")]
    Unsupported,
    #[error("This {0} hash is damaged: a part is missing or can't be read.")]
    Damaged(&'static str),
}

impl Unusable {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Damaged(_) => "invalid",
        }
    }
}

pub(super) fn parse(text: &str) -> Result<PasswordHash, Unusable> {
    let (name, hash) = match text.split('$').collect::<Vec<_>>()[..] {
        ["", "argon2i" | "argon2d" | "argon2id", ..] => ("Argon2", argon2(text)),
        ["argon2", "argon2i" | "argon2d" | "argon2id", ..] => ("Argon2", argon2(&text["argon2".len()..])),

        ["", "2a" | "2b" | "2y", cost, rest] => ("bcrypt", bcrypt(false, cost, rest)),
        ["bcrypt", "", "2a" | "2b" | "2y", cost, rest] => ("bcrypt", bcrypt(false, cost, rest)),
        ["bcrypt_sha256", "", "2a" | "2b" | "2y", cost, rest] => ("bcrypt", bcrypt(true, cost, rest)),

        ["", "scrypt", params, salt, hash] => {
            let params = named(params, ["ln", "r", "p"]);
            let hash = params.and_then(|[ln, r, p]| scrypt(u8::try_from(ln?).ok()?, r?, p?, base64(salt)?, hash));
            ("scrypt", hash)
        }
        ["scrypt", n, salt, r, p, hash] => ("scrypt", django_scrypt(n, salt, r, p, hash)),

        ["", name @ ("pbkdf2" | "pbkdf2-sha1" | "pbkdf2-sha256" | "pbkdf2-sha512"), iterations, salt, hash] => {
            let digest = name.strip_prefix("pbkdf2-").map_or(Some(Digest::Sha1), |digest| digest.parse().ok());
            let hash = digest.and_then(|digest| pbkdf2(digest, iterations, base64(salt)?, hash));
            ("PBKDF2", hash)
        }
        ["pbkdf2_sha1", iterations, salt, hash] => {
            ("PBKDF2", pbkdf2(Digest::Sha1, iterations, salt.as_bytes().to_vec(), hash))
        }
        ["pbkdf2_sha256", iterations, salt, hash] => {
            ("PBKDF2", pbkdf2(Digest::Sha256, iterations, salt.as_bytes().to_vec(), hash))
        }
        _ => return Err(Unusable::Unsupported),
    };
    hash.ok_or(Unusable::Damaged(name))
}

/// One that can be computed again.
fn argon2(text: &str) -> Option<PasswordHash> {
    let mut hash = argon2::PasswordHash::new(text).ok()?;
    // The reference implementation names a version only since it has had a second one.
    let version = *hash.version.get_or_insert(argon2::Version::V0x10.into());
    let can_be_computed = hash.salt.as_ref().is_some_and(|salt| salt.len() >= argon2::MIN_SALT_LEN)
        && hash.hash.is_some()
        && argon2::Algorithm::try_from(hash.algorithm.as_str()).is_ok()
        && argon2::Version::try_from(version).is_ok()
        && argon2::Params::try_from(&hash).is_ok();
    can_be_computed.then(|| PasswordHash::Argon2(Box::new(hash)))
}

/// `rest` is the salt in 22 characters and the hash in 31.
fn bcrypt(sha256: bool, cost: &str, rest: &str) -> Option<PasswordHash> {
    let cost = number(cost).filter(|cost| (4..=31).contains(cost))?;
    let (salt, hash) = rest.split_at_checked(22)?;
    let salt = BCRYPT.decode(salt).ok()?.try_into().ok()?;
    let hash = BCRYPT.decode(hash).ok()?.try_into().ok()?;
    Some(PasswordHash::Bcrypt(Bcrypt { sha256, cost, salt, hash }))
}

fn scrypt(log_n: u8, r: u32, p: u32, salt: Vec<u8>, hash: &str) -> Option<PasswordHash> {
    // Which the crate multiplies without looking.
    r.checked_mul(p)?;
    let params = scrypt::Params::new(log_n, r, p).ok()?;
    let hash = beginning(base64(hash)?, MAX_HASH)?;
    is_salt(&salt).then_some(PasswordHash::Scrypt { params, salt, hash })
}

fn django_scrypt(n: &str, salt: &str, r: &str, p: &str, hash: &str) -> Option<PasswordHash> {
    let n = number(n).filter(|n| n.is_power_of_two())?;
    scrypt(u8::try_from(n.ilog2()).ok()?, number(r)?, number(p)?, salt.as_bytes().to_vec(), hash)
}

/// `iterations` is a number, or `i=…` with the length of the hash as `l=…` or without.
fn pbkdf2(digest: Digest, iterations: &str, salt: Vec<u8>, hash: &str) -> Option<PasswordHash> {
    let [iterations, length] = match number(iterations) {
        Some(iterations) => [Some(iterations), None],
        None => named(iterations, ["i", "l"])?,
    };
    let hash = base64(hash).filter(|hash| length.is_none_or(|length| hash.len() as u64 == u64::from(length)))?;
    // Each block is computed by itself: the first one tells a wrong password, the others only take time.
    let hash = beginning(hash, digest.len())?;
    let iterations = NonZeroU32::new(iterations?)?;
    is_salt(&salt).then_some(PasswordHash::Pbkdf2 { digest, iterations, salt, hash })
}

fn is_salt(salt: &[u8]) -> bool {
    (1..=MAX_SALT).contains(&salt.len())
}

/// The first `most` bytes: of PBKDF2, with which scrypt ends too, the beginning is what a shorter hash would be.
fn beginning(mut hash: Vec<u8>, most: usize) -> Option<Vec<u8>> {
    hash.truncate(most);
    (hash.len() >= MIN_HASH).then_some(hash)
}

/// Padded or not, with `+` or with passlib's `.` for it.
fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.replace('.', "+")).ok()
}

/// The numbers of a text like `ln=17,r=8,p=1` under these names; each at most once, and no other.
fn named<const N: usize>(text: &str, names: [&str; N]) -> Option<[Option<u32>; N]> {
    let mut numbers = [None; N];
    for pair in text.split(',') {
        let (name, value) = pair.split_once('=')?;
        let place = names.iter().position(|known| *known == name)?;
        if numbers[place].replace(number(value)?).is_some() {
            return None;
        }
    }
    Some(numbers)
}

/// Digits alone.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}
