//! Where a value came from, and what it is called there.

/// Begins the name of each variable.
pub(super) const PREFIX: &str = "PORTCULLIS_";
/// The one name that says where settings are rather than being one.
pub(super) const CONFIG: &str = "config";

/// Where a value came from, in the spelling of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Default,
    /// `--listen`
    Flag(String),
    /// `PORTCULLIS_LISTEN`
    Environment(String),
    /// The same, in the file `.env`.
    DotEnv(String),
    /// `listen`, and the file's name as it was given.
    Toml {
        file: String,
        key: String,
    },
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag(name) | Self::Environment(name) => f.write_str(name),
            Self::DotEnv(name) => write!(f, "{name} in .env"),
            Self::Toml { file, key } => write!(f, "{key} in {file}"),
        }
    }
}
