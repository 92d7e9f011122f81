//! The settings in force, as they may be shown.

use super::source::Source;

/// A setting, its value and where that came from. Secrets are masked, also the password inside a URL.
#[derive(Clone, Debug)]
pub struct Effective {
    pub key: &'static str,
    /// As its source spells it. `None`: unset.
    pub value: Option<String>,
    pub source: Source,
}
