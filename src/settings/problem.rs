//! What is wrong with the settings: all of it at once, a line for each.

use std::path::Path;

use super::source::Source;

/// One thing that is wrong: which setting, where it was given, and what to write. Never repeats a secret.
#[derive(Debug)]
pub struct SettingProblem {
    /// The key, and its source in parentheses; or the file.
    place: String,
    message: String,
}

impl SettingProblem {
    pub(super) fn new(key: &str, source: Source, message: impl Into<String>) -> Self {
        Self { place: format!("{key} ({source})"), message: message.into() }
    }

    /// For a name that is no setting, and may hold anything.
    pub(super) fn of_source(source: &Source, message: impl Into<String>) -> Self {
        Self { place: source.to_string().escape_debug().to_string(), message: message.into() }
    }

    pub(super) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self { place: file.display().to_string(), message: message.into() }
    }
}

impl std::fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Everything that is wrong; exit status 78 (`EX_CONFIG` of sysexits.h).
#[derive(Debug)]
pub struct Problems(pub(super) Vec<SettingProblem>);

impl Problems {
    pub fn iter(&self) -> impl Iterator<Item = &SettingProblem> {
        self.0.iter()
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "these settings can't be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

/// The known name that takes the fewest slips of the keyboard to become `name`, in any case of letters.
pub(super) fn nearest<'a>(name: &str, known: &'a [String]) -> &'a str {
    let name = name.to_ascii_lowercase();
    let slips = |known: &&String| strsim::damerau_levenshtein(&name, &known.to_ascii_lowercase());
    known.iter().min_by_key(slips).map_or("", String::as_str)
}
