//! The one form in which names are compared.

/// The canonical form of a username or an e-mail address: equal keys are the same name. A key with an `@` is an
/// e-mail's; usernames can't have one.
///
/// Registering, signing in, counting failures, looking up and the `UNIQUE` columns all use it. A second opinion anywhere
/// on which spellings are the same name is how accounts get duplicated, taken over or guessed at twice the rate
/// (CVE-2019-19844, CVE-2025-24806). Keys are pure ASCII, so a newer Unicode table can't change them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameKey(String);

impl NameKey {
    /// The key of a name that is known to be valid, which makes it ASCII.
    pub(super) fn of_valid(name: &str) -> Self {
        Self(name.to_ascii_lowercase())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
