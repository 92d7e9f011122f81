//! What one source says, by key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::declaration::DECLARATION;
use super::problem::{SettingProblem, nearest};
use super::source::{CONFIG, PREFIX, Source};

/// The values of one source by key (or `key_file`).
pub struct Layer {
    pub kind: Kind,
    /// The file that it was read from.
    pub file: Option<PathBuf>,
    pub values: BTreeMap<String, Value>,
    /// What is empty there, and so not given.
    pub empty: Vec<Source>,
}

/// A value and what its source calls it.
pub struct Value {
    pub source: Source,
    pub text: String,
}

/// Which source, and so how it spells a key.
#[derive(Clone)]
pub enum Kind {
    Flags,
    Environment,
    DotEnv,
    /// The file's name as it was given.
    Toml(String),
}

impl Kind {
    /// What the source calls the key.
    pub fn spelling(&self, key: &str) -> String {
        match self {
            Self::Flags => format!("--{}", key.replace('_', "-")),
            Self::Environment | Self::DotEnv => format!("{PREFIX}{}", key.to_ascii_uppercase()),
            Self::Toml(_) => key.to_owned(),
        }
    }

    pub fn source(&self, name: String) -> Source {
        match self {
            Self::Flags => Source::Flag(name),
            Self::Environment => Source::Environment(name),
            Self::DotEnv => Source::DotEnv(name),
            Self::Toml(file) => Source::Toml { file: file.clone(), key: name },
        }
    }

    /// Every key and `key_file`, and `config` where it means something.
    fn keys(&self) -> impl Iterator<Item = String> {
        let declared = DECLARATION.iter().flat_map(|declared| [Some(declared.key.to_owned()), declared.file_key()]);
        let config = (!matches!(self, Self::Toml(_))).then(|| CONFIG.to_owned());
        declared.flatten().chain(config)
    }

    pub fn knows(&self, key: &str) -> bool {
        self.keys().any(|known| known == key)
    }
}

impl Layer {
    pub fn new(kind: Kind, file: Option<PathBuf>) -> Self {
        Self { kind, file, values: BTreeMap::new(), empty: Vec::new() }
    }

    /// Takes the value that the source calls `name`; an unknown key, or the same one twice, is a problem.
    pub fn put(&mut self, key: String, name: String, text: String, problems: &mut Vec<SettingProblem>) {
        if !self.kind.knows(&key) {
            let known: Vec<_> = self.kind.keys().map(|known| self.kind.spelling(&known)).collect();
            let message = format!("is not a setting: did you mean {}?", nearest(&name, &known));
            problems.push(SettingProblem::of_source(&self.kind.source(name), message));
            return;
        }
        let source = self.kind.source(name);
        if let Some(Value { source, .. }) = self.values.insert(key.clone(), Value { source, text }) {
            problems.push(SettingProblem::new(&key, source, "is given twice: keep one"));
        }
    }

    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.values.remove(key)
    }
}
