//! Which source wins, setting by setting.

use std::path::Path;

use super::declaration::DECLARATION;
use super::declared::{Declared, Fallback, Secrecy, Texts};
use super::layer::{Layer, Value};
use super::problem::SettingProblem;
use super::show::Effective;
use super::source::Source;
use super::sources::{Sources, layers};
use super::text_file;

/// The text of every setting and where it came from, not parsed yet.
pub struct Resolved {
    entries: Vec<Entry>,
    pub problems: Vec<SettingProblem>,
    /// Variables that are empty, and so not given.
    pub empty: Vec<Source>,
}

struct Entry {
    declared: &'static Declared,
    source: Source,
    text: Text,
}

enum Text {
    Unset,
    Given(String),
    /// Could not be had; the problem is noted.
    Failed,
}

impl Resolved {
    pub fn from_sources(sources: &Sources) -> Self {
        let mut problems = Vec::new();
        let layers = layers(sources, &mut problems);
        let empty = layers.iter().flat_map(|layer| layer.empty.iter().cloned()).collect();
        let mut resolved = Self { entries: Vec::new(), problems, empty };
        for declared in DECLARATION {
            // All layers are looked at, so that a mistake in one that doesn't win is told too.
            let given = layers.iter().filter_map(|layer| resolved.said_by(layer, declared)).collect::<Vec<_>>();
            let (source, text) = match given.into_iter().next() {
                Some((source, text, false)) => (source, Text::Given(text)),
                Some((source, path, true)) => resolved.read(declared, source, &sources.path(path)),
                None => (Source::Default, resolved.fallback(declared)),
            };
            resolved.entries.push(Entry { declared, source, text });
        }
        resolved
    }

    /// What the layer says: source, text, and whether the text is the name of a file.
    fn said_by(&mut self, layer: &Layer, declared: &Declared) -> Option<(Source, String, bool)> {
        let value = layer.values.get(declared.key);
        let file = declared.file_key().and_then(|key| layer.values.get(&key));
        if let (Some(value), Some(file)) = (value, file) {
            let message = format!("{} is given as well: keep one of them", file.source);
            self.problems.push(SettingProblem::new(declared.key, value.source.clone(), message));
        }
        if let (Some(value), Some(path), Secrecy::Secret) = (value, &layer.file, declared.secrecy)
            && readable_by_others(path)
        {
            let message = format!("others on this host can read it: run `chmod 600 {}`", path.display());
            self.problems.push(SettingProblem::new(declared.key, value.source.clone(), message));
        }
        let found = |value: &Value, is_file| (value.source.clone(), value.text.clone(), is_file);
        value.map(|value| found(value, false)).or_else(|| file.map(|file| found(file, true)))
    }

    /// The content of a file without its last line end.
    fn read(&mut self, declared: &Declared, source: Source, path: &Path) -> (Source, Text) {
        match text_file::read(path) {
            Ok(mut text) => {
                if text.ends_with('\n') {
                    text.pop();
                    if text.ends_with('\r') {
                        text.pop();
                    }
                }
                (source, Text::Given(text))
            }
            Err(error) => {
                let message =
                    format!("{} can't be read ({error}): name a readable file with the value in it", path.display());
                self.problems.push(SettingProblem::new(declared.key, source.clone(), message));
                (source, Text::Failed)
            }
        }
    }

    fn fallback(&self, declared: &Declared) -> Text {
        match declared.default {
            Fallback::Unset => Text::Unset,
            Fallback::Text(text) => Text::Given(text.to_owned()),
            Fallback::Derived { compute, .. } => {
                Text::Given(compute(&|key| self.text(key).unwrap_or_default().to_owned()))
            }
        }
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.declared.key == key)
    }

    /// The text of a setting that was declared before.
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.entry(key)?.text {
            Text::Given(text) => Some(text),
            Text::Unset | Text::Failed => None,
        }
    }

    /// Whether some source gave it.
    pub fn is_given(&self, key: &str) -> bool {
        self.entry(key).is_some_and(|entry| entry.source != Source::Default)
    }

    /// Notes what is wrong with a setting, with its source.
    pub fn complain(&mut self, key: &str, message: impl Into<String>) {
        if let Some(entry) = self.entry(key) {
            let problem = SettingProblem::new(key, entry.source.clone(), message);
            self.problems.push(problem);
        }
    }

    /// Every setting as it may be shown.
    pub fn effective(&self) -> Vec<Effective> {
        let shown = |entry: &Entry| Effective {
            key: entry.declared.key,
            value: self.text(entry.declared.key).map(|text| entry.declared.masked(text)),
            source: entry.source.clone(),
        };
        self.entries.iter().map(shown).collect()
    }
}

impl Texts for Resolved {
    fn parse<T>(&mut self, key: &str, parse: impl Fn(Option<&str>) -> Result<T, String>) -> Option<T> {
        let entry = self.entry(key)?;
        if matches!(entry.text, Text::Failed) {
            return None;
        }
        let text = self.text(key);
        match parse(text) {
            Ok(value) => Some(value),
            Err(what_to_write) => {
                let value = match (entry.declared.secrecy, text) {
                    (Secrecy::Public, Some(text)) => shortened(text),
                    _ => "this value".to_owned(),
                };
                self.complain(key, format!("{value} can't be used: {what_to_write}"));
                None
            }
        }
    }
}

/// The text in quotes, on one line, cut where it gets long.
fn shortened(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", start.escape_debug())
}

/// Whether anyone on this host may read the file. Files that hold nothing but a secret are not asked: where containers
/// put them, they are readable by all that is in the container.
#[cfg(unix)]
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> bool {
    false
}
