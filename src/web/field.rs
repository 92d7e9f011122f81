//! One input with its label, hint and error, wired together for assistive technology in one place.

use std::borrow::Cow;

use askama::Template;
use askama::filters::HtmlSafe;

use super::form_errors::FormErrors;
use crate::domain::username::{MAX_LENGTH, MIN_LENGTH, SIGNS};

/// An input of a form; its name is also its id. A template shows it with `{{ field }}`.
#[derive(Template)]
#[template(path = "partials/field.html")]
pub struct Field {
    name: &'static str,
    label: &'static str,
    /// `text`, `email` or `password`.
    kind: &'static str,
    /// A token of the HTML standard, by which password managers know the field.
    autocomplete: &'static str,
    hint: Option<Cow<'static, str>>,
    value: String,
    required: bool,
    autofocus: bool,
    min_length: Option<usize>,
    max_length: Option<usize>,
    error: Option<String>,
    /// The summary above the form is about this field.
    concerned: bool,
}

impl HtmlSafe for Field {}

impl Field {
    /// A required field with this in it.
    pub fn text(name: &'static str, label: &'static str, autocomplete: &'static str, value: &str) -> Self {
        Self {
            name,
            label,
            kind: "text",
            autocomplete,
            hint: None,
            value: value.to_owned(),
            required: true,
            autofocus: false,
            min_length: None,
            max_length: None,
            error: None,
            concerned: false,
        }
    }

    /// The name of a new account.
    pub fn new_username(value: &str) -> Self {
        let signs = SIGNS.chars().map(|sign| format!("“{sign}”")).collect::<Vec<_>>().join(", ");
        let signs = signs.rsplit_once(", ").map_or(signs.clone(), |(others, last)| format!("{others} or {last}"));
        let hint = format!("{MIN_LENGTH} to {MAX_LENGTH} letters, digits, {signs}. Begins with a letter.");
        let (min_length, max_length) = (Some(MIN_LENGTH), Some(MAX_LENGTH));
        Self { min_length, max_length, ..Self::text("username", "Username", "username", value) }.hint(hint)
    }

    pub fn email(value: &str) -> Self {
        Self { kind: "email", ..Self::text("email", "E-mail", "email", value) }
    }

    /// What the person is called.
    pub fn name(value: &str) -> Self {
        Self { required: false, max_length: Some(100), ..Self::text("name", "Name (optional)", "name", value) }
    }

    /// A password that exists. Never has a value, and no greatest length: the browser would cut what was pasted.
    pub fn current_password(name: &'static str, label: &'static str) -> Self {
        Self { kind: "password", ..Self::text(name, label, "current-password", "") }
    }

    /// A password to be chosen.
    pub fn new_password(name: &'static str, label: &'static str, min_length: usize) -> Self {
        let hint =
            format!("At least {min_length} characters. Four unrelated words are better than one word with symbols.");
        Self { autocomplete: "new-password", min_length: Some(min_length), ..Self::current_password(name, label) }
            .hint(hint)
    }

    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What is typed is about someone else: the browser neither offers nor keeps it.
    pub fn of_another(mut self) -> Self {
        self.autocomplete = "off";
        self
    }

    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// The page opens with the cursor here. Only where the form is the whole page, and only one field.
    pub fn autofocus(mut self, yes: bool) -> Self {
        self.autofocus = yes;
        self
    }

    /// Takes over what the refusal says of this field.
    pub fn refused(mut self, form_errors: &FormErrors) -> Self {
        self.error = form_errors.error_of(self.name).map(str::to_owned);
        self.concerned = form_errors.concerns(self.name);
        self
    }

    fn is_invalid(&self) -> bool {
        self.concerned || self.error.is_some()
    }

    /// The ids of what describes the field: error first, then hint.
    fn described_by(&self) -> String {
        let name = self.name;
        let ids = [
            self.concerned.then(|| "refusal".to_owned()),
            self.error.as_ref().map(|_| format!("{name}-error")),
            self.hint.as_ref().map(|_| format!("{name}-hint")),
        ];
        ids.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Error, FieldError};

    #[test]
    fn a_refused_field_is_described_by_its_error_and_then_its_hint_and_keeps_what_was_typed() {
        let error = FieldError::new("username", "taken", "“a<b” is taken.");
        let form_errors = FormErrors::of(Error::Taken(error.into())).expect("a form");
        let html = Field::new_username(r#"a<b" x="#).refused(&form_errors).render().expect("html");
        assert!(html.contains(r#"aria-describedby="username-error username-hint""#), "{html}");
        assert!(html.contains(r#"aria-invalid="true""#));
        assert!(html.contains(r#"id="username-error""#) && html.contains(r#"id="username-hint""#));
        assert!(html.contains("value=\"a&#60;b&#34; x=\""), "{html}");
    }

    #[test]
    fn a_password_field_never_has_a_value_nor_a_greatest_length() {
        let html = Field::new_password("password", "Password", 10).render().expect("html");
        assert!(!html.contains("value=") && !html.contains("maxlength"), "{html}");
        assert!(html.contains(r#"autocomplete="new-password""#) && html.contains(r#"minlength="10""#));
    }

    #[test]
    fn a_field_without_hint_or_error_is_described_by_nothing() {
        let html = Field::email("").render().expect("html");
        assert!(!html.contains("aria-"), "{html}");
    }
}
