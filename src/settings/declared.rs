//! What there is to declare of a setting.

use super::urls::{MASK, masked};

/// What is declared of one setting.
pub struct Declared {
    /// As in TOML: `listen`. The flag and the variable are made from it.
    pub key: &'static str,
    /// What a value looks like, in help: `DURATION`.
    pub form: &'static str,
    pub default: Fallback,
    pub secrecy: Secrecy,
    /// Whether it can have this value, by itself.
    pub takes: fn(&str) -> bool,
    pub help: &'static str,
}

/// What holds where no source gives a value.
pub enum Fallback {
    Unset,
    Text(&'static str),
    /// Made from the settings declared before it; `says` tells how.
    Derived {
        says: &'static str,
        compute: Derive,
    },
}

/// Makes a text, given a way to get that of any setting declared before.
pub type Derive = fn(&dyn Fn(&str) -> String) -> String;

/// What must never be shown. All but [`Secrecy::Public`] can be given as a file too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    Public,
    /// The whole value.
    Secret,
    /// A URL: the password in it.
    Url,
}

impl Declared {
    /// The name under which a file that holds the value is given: `secret_key_file`.
    pub fn file_key(&self) -> Option<String> {
        (self.secrecy != Secrecy::Public).then(|| format!("{}_file", self.key))
    }

    /// The value as it may be shown.
    pub fn masked(&self, value: &str) -> String {
        match self.secrecy {
            Secrecy::Public => value.to_owned(),
            Secrecy::Secret => MASK.to_owned(),
            Secrecy::Url => masked(value),
        }
    }
}

/// The texts of all settings, as the typed values are made from them.
pub trait Texts {
    /// Parses one setting, or notes why it can't be. `parse` gets `None` where the setting has no value.
    fn parse<T>(&mut self, key: &str, parse: impl Fn(Option<&str>) -> Result<T, String>) -> Option<T>;
}
