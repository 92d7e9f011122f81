//! What is wrong with a form or a body, field by field.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

/// One complaint about one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name in the form and in JSON. One that we don't know is named as it came.
    pub field: Cow<'static, str>,
    /// Stable, for programs: `required`, `too_short`, `taken`, …
    pub code: &'static str,
    /// For people: a sentence that says what to do.
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<Cow<'static, str>>, code: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code, message: message.into() }
    }

    /// A name that nobody asked for.
    pub fn unknown(name: &str) -> Self {
        Self::new(shown(name), "unknown_field", "There is no such field here. Leave it out.")
    }

    /// What the text of `field` stands for, or `advice`.
    pub fn parse<T: FromStr>(field: &'static str, text: &str, advice: &str) -> Result<T, Self> {
        text.parse().map_err(|_| Self::new(field, "invalid", advice))
    }

    /// The one of these words that `field` says.
    pub fn one_of<T: FromStr + Display>(field: &'static str, text: &str, words: &[T]) -> Result<T, Self> {
        let words: Vec<_> = words.iter().map(T::to_string).collect();
        Self::parse(field, text, &format!("Write one of {}.", words.join(", ")))
    }
}

/// All complaints of one form, at most one a field, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Takes the value, or notes what is wrong with it.
    pub fn check<T>(&mut self, result: Result<T, FieldError>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }

    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// What is wrong with `field`, if anything.
    pub fn of(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = &FieldError> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

/// A field's name as it may be repeated to whoever sent it.
pub fn shown(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(40).collect()
}
