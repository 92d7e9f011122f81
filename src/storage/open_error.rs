//! Why a database can't be opened.

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0}")]
    Unreachable(String),
    #[error("the path of the database is not UTF-8; set data_dir or database_url to one that is")]
    Path,
    /// A setting of the database with which it can't be used, and what to do.
    #[error("{0}")]
    Unfit(String),
    #[error(
        "the database was migrated by a newer Portcullis (it has {0}, which this one does not know); use that version"
    )]
    Newer(String),
    #[error("the migration failed: {0}")]
    Migration(String),
}

impl OpenError {
    pub(super) fn unreachable(error: impl std::fmt::Display) -> Self {
        Self::Unreachable(error.to_string())
    }
}
