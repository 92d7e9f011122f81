//! Stored password hashes: our own, which are Argon2id, and those that people bring along from other systems.
//!
//! Each is read in every spelling that its systems use ([`forms`]) and written in one: a PHC string, `$2b$…` for
//! bcrypt, and Django's `bcrypt_sha256$$2b$…`, which has no other.

mod forms;
#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::FieldError;
use super::text::text_enum;

const MIB: u64 = 1024 * 1024;

// What a check may take: a few seconds of a core, and twice that for a password that has two spellings.
/// Bytes of memory.
const MAX_MEMORY: u64 = 256 * MIB;
/// Bytes that are written over, pass by pass.
const MAX_WORK: u64 = 1024 * MIB;
/// Each one more doubles the time.
const MAX_BCRYPT_COST: u32 = 14;
/// Django asks for more of them with each version: 1,000,000 in 5.2.
const MAX_ITERATIONS: u32 = 3_000_000;

/// A hash with which a password can be checked. Checking is [`crate::services::authentication::hasher`]'s.
#[derive(Clone, PartialEq)]
pub enum PasswordHash {
    /// RFC 9106, any of the three variants.
    Argon2(Box<argon2::PasswordHash>),
    Bcrypt(Bcrypt),
    /// RFC 7914.
    Scrypt {
        params: scrypt::Params,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
    /// RFC 8018, 5.2, with HMAC.
    Pbkdf2 {
        digest: Digest,
        iterations: NonZeroU32,
        salt: Vec<u8>,
        /// The first block, or less.
        hash: Vec<u8>,
    },
}

/// What is in a `$2b$…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Bcrypt {
    /// Of the SHA-256 of the password, in hexadecimal, as Django's `BCryptSHA256PasswordHasher` does it.
    pub sha256: bool,
    /// Binary logarithm of the rounds, 4 to 31.
    pub cost: u32,
    pub salt: [u8; 16],
    pub hash: [u8; 23],
}

text_enum!(
    /// What PBKDF2 runs over.
    Digest {
        Sha1 = "sha1",
        Sha256 = "sha256",
        Sha512 = "sha512",
    }
);

impl Digest {
    /// Bytes of its output.
    fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl PasswordHash {
    /// Reads a hash in any spelling that is known here.
    ///
    /// # Errors
    /// Says of the field `password_hash` why it can't be used; never a part of it.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        forms::parse(text).map_err(|why| FieldError::new("password_hash", why.code(), why.to_string()))
    }

    /// Whether checking it bears being asked for by anyone who signs in.
    ///
    /// # Errors
    /// The limit that it passes, for the field `password_hash`.
    pub fn check_cost(&self) -> Result<(), FieldError> {
        let too_costly = |limit: String| {
            let message = format!("Too costly to check at a sign-in: at most {limit} are taken.");
            Err(FieldError::new("password_hash", "too_costly", message))
        };
        let passes = match self {
            Self::Bcrypt(Bcrypt { cost, .. }) if *cost > MAX_BCRYPT_COST => {
                return too_costly(format!("2^{MAX_BCRYPT_COST} rounds of bcrypt"));
            }
            Self::Pbkdf2 { iterations, .. } if iterations.get() > MAX_ITERATIONS => {
                return too_costly(format!("{MAX_ITERATIONS} iterations of PBKDF2"));
            }
            Self::Bcrypt(_) | Self::Pbkdf2 { .. } => 1,
            Self::Scrypt { params, .. } => params.p(),
            Self::Argon2(hash) => argon2_params(hash).t_cost(),
        };
        let memory = self.memory();
        if memory > MAX_MEMORY || memory.saturating_mul(passes.into()) > MAX_WORK {
            let [memory, work] = [MAX_MEMORY, MAX_WORK].map(|bytes| bytes / MIB);
            return too_costly(format!("{memory} MiB of memory, and {work} MiB over all passes,"));
        }
        Ok(())
    }

    /// Bytes that a check takes, beyond a few thousand.
    pub fn memory(&self) -> u64 {
        match self {
            Self::Bcrypt(_) | Self::Pbkdf2 { .. } => 0,
            // RFC 7914, section 6: p blocks of 128 * r bytes, each mixed with N others.
            Self::Scrypt { params, .. } => {
                let block = 128 * u64::from(params.r());
                block.saturating_mul(params.n().max(params.p().into()))
            }
            Self::Argon2(hash) => 1024 * u64::from(argon2_params(hash).m_cost()),
        }
    }
}

fn argon2_params(hash: &argon2::PasswordHash) -> argon2::Params {
    // Those of a hash that was parsed are good.
    argon2::Params::try_from(hash).unwrap_or_default()
}

/// The one spelling that is stored.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base64 = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
        match self {
            Self::Argon2(hash) => hash.fmt(f),
            Self::Bcrypt(Bcrypt { sha256, cost, salt, hash }) => {
                let prefix = if *sha256 { "bcrypt_sha256$" } else { "" };
                let [salt, hash] = [&salt[..], &hash[..]].map(|bytes| forms::BCRYPT.encode(bytes));
                write!(f, "{prefix}$2b${cost:02}${salt}{hash}")
            }
            Self::Scrypt { params, salt, hash } => {
                let (ln, r, p) = (params.log_n(), params.r(), params.p());
                write!(f, "$scrypt$ln={ln},r={r},p={p}${}${}", base64(salt), base64(hash))
            }
            Self::Pbkdf2 { digest, iterations, salt, hash } => {
                write!(f, "$pbkdf2-{digest}$i={iterations}${}${}", base64(salt), base64(hash))
            }
        }
    }
}

/// Says its kind alone.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argon2(_) => "Argon2(…)",
            Self::Bcrypt(_) => "Bcrypt(…)",
            Self::Scrypt { .. } => "Scrypt(…)",
            Self::Pbkdf2 { .. } => "Pbkdf2(…)",
        })
    }
}
