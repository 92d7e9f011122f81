//! One-time links: `/setup/{token}` and `/reset/{token}`.

use super::Timestamp;
use super::text::text_enum;

text_enum!(
    /// What the link is good for.
    LinkPurpose {
        Setup = "setup",
        Reset = "reset",
        /// Not handed out: what stands in the place of a reset link that was used a moment ago, for the same form to be known
        /// when it comes again.
        ResetDone = "reset_done",
    }
);

impl LinkPurpose {
    /// The path of its page, up to the token.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Setup => "/setup/",
            Self::Reset | Self::ResetDone => "/reset/",
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

/// What stands right behind a link in a sentence.
const OF_SENTENCES: &[char] = &['.', ',', ';', ':', '!', '?', ')', ']', '}', '>', '"', '\'', '’', '”', '»', '›'];

/// The token of a one-time link as the path of a request has it, without what mail programs take for a part of a link: the
/// full stop of the sentence, or the bracket around it.
pub struct LinkToken(String);

impl std::str::FromStr for LinkToken {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.trim_end_matches(OF_SENTENCES).to_owned()))
    }
}

impl std::ops::Deref for LinkToken {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sentence_puts_behind_a_link_is_no_part_of_its_token() {
        for text in ["a-B_9", "a-B_9.", "a-B_9)", "a-B_9).", "a-B_9”", "a-B_9>,"] {
            let Ok(token) = text.parse::<LinkToken>();
            assert_eq!(&*token, "a-B_9", "{text}");
        }
        for text in ["a-B_9=", "a-B_9-", ".a-B_9", "a.B_9", "a-B_9x"] {
            let Ok(token) = text.parse::<LinkToken>();
            assert_eq!(&*token, text);
        }
    }
}
