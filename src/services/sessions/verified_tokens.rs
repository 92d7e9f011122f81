//! Access tokens whose signature and claims were found right, so that a program's next request need not prove them again.
//!
//! That a token is ours never changes while its key is one of ours; whether it is timely, and whether its session lives, is
//! asked each time. Tokens themselves are not kept, only their hashes, and none that was refused: nobody fills this with
//! what we did not sign.

use std::sync::Arc;
use std::time::Instant;

use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};

use crate::domain::access_token::AccessClaims;

/// So many tokens are remembered, each with some 600 bytes.
const CAPACITY: usize = 10_000;

type Hash = [u8; 32];

/// The tokens of this process that were verified lately.
pub struct VerifiedTokens(Cache<Hash, Verified>);

#[derive(Clone)]
struct Verified {
    claims: Arc<AccessClaims>,
    keys: Option<Instant>,
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl VerifiedTokens {
    /// What the token says, if it was verified with the keys that were read at this moment.
    pub(super) fn get(&self, token: &str, keys: Option<Instant>) -> Option<Arc<AccessClaims>> {
        self.0.get(&hash(token)).filter(|verified| verified.keys == keys).map(|verified| verified.claims)
    }

    /// Remembers a token that was verified with the keys that were read at this moment, or with later ones.
    pub(super) fn insert(&self, token: &str, keys: Option<Instant>, claims: Arc<AccessClaims>) {
        self.0.insert(hash(token), Verified { claims, keys });
    }
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token).into()
}
