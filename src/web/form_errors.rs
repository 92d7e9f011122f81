//! Why a form comes back: the one place where a service's refusal becomes a status and words beside fields.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::quota::wait_in_words;
use crate::domain::{Error, FieldError, FieldErrors};
use crate::http::problem::Problem;

/// What a form says above its fields when it was refused; empty on a form that nobody has sent yet.
#[derive(Debug, Template)]
#[template(path = "partials/form_errors.html")]
pub struct FormErrors {
    pub status: Status,
    /// What is wrong with the form as a whole.
    summary: Option<Cow<'static, str>>,
    /// The fields that the summary is about.
    concerned: &'static [&'static str],
    errors: FieldErrors,
}

impl HtmlSafe for FormErrors {}

/// The head of the answer that shows a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: StatusCode,
    /// Seconds, for `Retry-After`.
    pub retry_after: Option<u64>,
}

impl From<StatusCode> for Status {
    fn from(code: StatusCode) -> Self {
        Self { code, retry_after: None }
    }
}

impl FormErrors {
    /// The form as it is first shown.
    pub fn none() -> Self {
        Self { status: StatusCode::OK.into(), summary: None, concerned: &[], errors: FieldErrors::default() }
    }

    /// For a form without the token of the present session. Whoever sees this has to look at it again, for it may have been
    /// filled in for another account.
    pub fn stale() -> Self {
        Self::whole(
            StatusCode::FORBIDDEN,
            "This page was opened before you signed in here, so nothing was changed. Look it over, and send it again.",
        )
    }

    /// For a form that is shown with what was typed before the password was asked for: no refusal.
    pub fn not_sent_yet() -> Self {
        Self::whole(StatusCode::OK, "What you typed is here, and not saved yet.")
    }

    /// For a form whose text could not be kept while the password was asked for.
    pub fn not_kept() -> Self {
        Self::whole(StatusCode::OK, "What you typed could not be kept, and nothing was saved. Please type it again.")
    }

    /// The refusal to show on the form, or the problem where showing the form again would not help.
    pub fn of(error: Error) -> Result<Self, Problem> {
        Ok(match error {
            Error::Invalid(errors) => Self::fields(StatusCode::UNPROCESSABLE_ENTITY, errors),
            Error::Taken(errors) => Self::fields(StatusCode::CONFLICT, errors),
            Error::WrongPassword { field } => {
                let error = FieldError::new(field, "wrong", "This is not your current password.");
                Self::fields(StatusCode::UNAUTHORIZED, error.into())
            }
            Error::WrongCredentials => Self {
                concerned: &["username", "password"],
                ..Self::whole(StatusCode::UNAUTHORIZED, "The username or password is not right.")
            },
            Error::LastAdmin { others_without_password: false } => Self::whole(
                StatusCode::CONFLICT,
                "This is the last active administrator. Make another account administrator first.",
            ),
            Error::LastAdmin { others_without_password: true } => Self::whole(
                StatusCode::CONFLICT,
                "This is the last active administrator who can sign in: no other has chosen a password yet. Hand over \
                 a reset link, and wait until it is used, first.",
            ),
            Error::Raced => {
                Self::whole(StatusCode::CONFLICT, "The account was changed at the same moment. Send the form again.")
            }
            Error::Locked { retry_after } => {
                let wait = wait_in_words(retry_after);
                let summary = format!(
                    "Too many failed attempts. Try again in {wait}, or ask your administrator to unlock the account."
                );
                let status = Status { code: StatusCode::TOO_MANY_REQUESTS, retry_after: Some(retry_after) };
                Self { status, summary: Some(summary.into()), ..Self::none() }
            }
            Error::Stale => Self::whole(
                StatusCode::CONFLICT,
                "Someone else changed this account meanwhile. Compare what it is now, then save again.",
            ),
            error @ (Error::NotSignedIn
            | Error::InvalidToken
            | Error::InvalidRefreshToken
            | Error::ReauthenticationRequired
            | Error::Forbidden
            | Error::NotFound
            | Error::LinkGone
            | Error::RegistrationClosed
            | Error::Busy
            | Error::TooManyExports
            | Error::Unavailable(..)
            | Error::Internal(_)) => return Err(error.into()),
        })
    }

    fn fields(status: StatusCode, errors: FieldErrors) -> Self {
        Self { status: status.into(), errors, ..Self::none() }
    }

    fn whole(status: StatusCode, summary: &'static str) -> Self {
        Self { status: status.into(), summary: Some(summary.into()), ..Self::none() }
    }

    /// Whether there is anything to say.
    pub fn is_some(&self) -> bool {
        self.status.code != StatusCode::OK
    }

    /// What is wrong with one field.
    pub fn error_of(&self, field: &str) -> Option<&str> {
        self.errors.of(field)
    }

    /// Whether the summary is about this field.
    pub fn concerns(&self, field: &str) -> bool {
        self.concerned.contains(&field)
    }

    /// The heading above the list of fields.
    fn heading(&self) -> String {
        match self.errors.iter().count() {
            1 => "There is a problem".to_owned(),
            count => format!("There are {count} problems"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> FieldErrors {
        let mut errors = FieldErrors::default();
        errors.push(FieldError::new("username", "taken", "“<b>” is taken."));
        errors.push(FieldError::new("email", "format", "Write the e-mail as name@example.com."));
        errors
    }

    #[test]
    fn each_refusal_of_a_form_has_the_status_of_the_contract() {
        for (error, status) in [
            (Error::Invalid(two()), 422),
            (Error::Taken(two()), 409),
            (Error::WrongCredentials, 401),
            (Error::WrongPassword { field: "current_password" }, 401),
            (Error::LastAdmin { others_without_password: false }, 409),
            (Error::Raced, 409),
            (Error::Locked { retry_after: 61 }, 429),
            (Error::Stale, 409),
        ] {
            let form_errors = FormErrors::of(error).expect("a form");
            assert_eq!(form_errors.status.code.as_u16(), status);
            assert!(form_errors.is_some());
        }
    }

    #[test]
    fn what_no_other_input_would_mend_is_a_problem_and_not_a_form() {
        for error in [Error::Busy, Error::LinkGone, Error::NotSignedIn, Error::database("down")] {
            assert!(FormErrors::of(error).is_err());
        }
    }

    #[test]
    fn the_summary_links_each_complaint_to_its_field_and_escapes_it() {
        let html = FormErrors::of(Error::Invalid(two())).expect("a form").render().expect("html");
        assert!(html.contains("There are 2 problems"));
        assert!(html.contains(r##"<a href="#email">Write the e-mail as name@example.com.</a>"##), "{html}");
        assert!(html.contains(r##"<a href="#username">"##) && !html.contains("<b>"), "{html}");
        assert!(html.contains(r#"role="alert""#));
    }

    #[test]
    fn a_lock_says_how_long_in_words_and_in_seconds() {
        for (seconds, words) in
            [(1, "in 1 second,"), (61, "in 61 seconds,"), (900, "in 15 minutes,"), (7200, "in 2 hours,")]
        {
            let form_errors = FormErrors::of(Error::Locked { retry_after: seconds }).expect("a form");
            assert_eq!(form_errors.status.retry_after, Some(seconds));
            let html = form_errors.render().expect("html");
            assert!(html.contains(words) && html.contains(r#"role="alert""#), "{html}");
        }
    }

    #[test]
    fn wrong_credentials_blame_both_fields_alike() {
        let form_errors = FormErrors::of(Error::WrongCredentials).expect("a form");
        assert!(form_errors.concerns("username") && form_errors.concerns("password"));
        assert_eq!(form_errors.error_of("password"), None);
        assert!(form_errors.render().expect("html").contains("The username or password is not right."));
    }

    #[test]
    fn a_form_that_nobody_sent_says_nothing() {
        assert_eq!(FormErrors::none().render().expect("html").trim(), "");
    }
}
