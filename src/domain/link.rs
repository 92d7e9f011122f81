//! One-time links: `/setup/{token}` and `/reset/{token}`.

use super::Timestamp;
use super::text::text_enum;

text_enum!(
    /// What the link is good for.
    LinkPurpose {
        Setup = "setup",
        Reset = "reset",
    }
);

impl LinkPurpose {
    /// The path of its page, up to the token.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Setup => "/setup/",
            Self::Reset => "/reset/",
        }
    }
}

/// A link to hand over. The only place where its token is in clear; SQL keeps a hash. Not `Debug`.
pub struct OneTimeLink {
    pub url: String,
    pub expires_at: Timestamp,
}

impl OneTimeLink {
    /// What makes it a secret: the last part of its path.
    pub fn token(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }
}
