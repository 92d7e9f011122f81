//! A key that signs access tokens.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::clock::rfc3339;
use crate::domain::signing_key::{KeyState, SigningAlgorithm, SigningKeyInfo};

/// A key that signs access tokens, without its secret part.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyShape {
    /// By which the header of a token names it.
    kid: String,
    /// What it signs with.
    algorithm: SigningAlgorithm,
    /// What it is for now.
    state: KeyState,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// From when on it signed.
    #[schema(format = DateTime, required)]
    active_from: Option<String>,
    /// When another took its place.
    #[schema(format = DateTime, required)]
    retired_at: Option<String>,
}

impl From<&SigningKeyInfo> for KeyShape {
    fn from(key: &SigningKeyInfo) -> Self {
        Self {
            kid: key.kid.clone(),
            algorithm: key.algorithm,
            state: key.state,
            created_at: rfc3339(key.created_at),
            active_from: key.active_from.map(rfc3339),
            retired_at: key.retired_at.map(rfc3339),
        }
    }
}
