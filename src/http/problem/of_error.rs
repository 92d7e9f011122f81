//! The one place that turns what a service refuses into an answer.

use actix_web::http::StatusCode;

use super::{Problem, RETRY_SECONDS};
use crate::domain::error::Dependency;
use crate::domain::{Error, FieldError};

impl From<Error> for Problem {
    /// The one translation from what services refuse to HTTP. A failure is logged here, once; the client learns
    /// nothing internal.
    fn from(error: Error) -> Self {
        match &error {
            // Its trouble is told once, by the line to it, and not by each request that meets it.
            Error::Unavailable(Dependency::Redis, _) => tracing::debug!(error = chain(&error), "a request failed"),
            Error::Unavailable(..) | Error::Internal(_) => tracing::error!(error = chain(&error), "a request failed"),
            _ => {}
        }
        match error {
            Error::Invalid(errors) => {
                let detail = "Some fields are not right.";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).with_errors(errors)
            }
            Error::Taken(errors) => {
                Self::new(StatusCode::CONFLICT, "taken", "Already taken. Choose another.").with_errors(errors)
            }
            Error::WrongCredentials => {
                let detail = "The username or password is not right.";
                Self::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail)
            }
            Error::WrongPassword { field } => {
                let detail = "The password is not right.";
                Self::new(StatusCode::UNAUTHORIZED, "wrong_password", detail)
                    .with_errors(FieldError::new(field, "wrong_password", detail).into())
            }
            Error::InvalidRefreshToken => {
                let detail = "This refresh token is not valid, or not any more. Sign in again.";
                Self::new(StatusCode::UNAUTHORIZED, "invalid_refresh_token", detail)
            }
            Error::NotSignedIn => Self::not_signed_in(),
            Error::InvalidToken => Self::invalid_token(),
            Error::ReauthenticationRequired => {
                let detail = "Enter the password again (POST /api/v1/auth/confirm), then retry.";
                // RFC 9470, section 3.
                Self::new(StatusCode::UNAUTHORIZED, "reauthentication_required", detail)
                    .challenge(r#"Bearer error="insufficient_user_authentication""#)
            }
            Error::Forbidden => Self::forbidden(),
            Error::NotFound => Self::not_found(),
            Error::LinkGone => {
                let detail = "This link is used up or too old. Ask for a new one.";
                Self::new(StatusCode::GONE, "link_gone", detail)
            }
            Error::RegistrationClosed => {
                let detail = "Registration is closed. Ask your administrator for an account.";
                Self::new(StatusCode::FORBIDDEN, "registration_closed", detail)
            }
            Error::LastAdmin { others_without_password } => {
                let detail = if others_without_password {
                    "The last active administrator who can sign in can’t be demoted, suspended or deleted: no other has \
                     chosen a password yet."
                } else {
                    "The last active administrator can’t be demoted, suspended or deleted."
                };
                Self::new(StatusCode::CONFLICT, "last_admin", detail)
            }
            Error::Raced => {
                let detail = "The account was changed meanwhile. Sign in again.";
                Self::new(StatusCode::CONFLICT, "raced", detail)
            }
            Error::Locked { retry_after } => Self::too_many_attempts(retry_after),
            Error::Stale => {
                let detail = "The account was changed meanwhile. Read it again, then repeat your change.";
                Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
            }
            Error::Busy => {
                let detail = "Too many people sign in right now. Try again in a moment.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(RETRY_SECONDS)
            }
            Error::TooManyExports => {
                let detail = "Other exports are under way. Try again in a moment.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(RETRY_SECONDS)
            }
            Error::Unavailable(..) => Self::unavailable(),
            Error::Internal(_) => Self::internal(),
        }
    }
}

/// The error and all that caused it.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn fields_are_named_one_by_one() {
        let errors = FieldError::new("email", "invalid", "Write the e-mail as name@example.com.").into();
        let body: Value = serde_json::from_str(&Problem::from(Error::Invalid(errors)).to_json(None)).unwrap();
        assert_eq!(body["errors"][0]["field"], "email");
        assert_eq!(body["status"], 422);
        let wrong = Problem::from(Error::WrongPassword { field: "current_password" });
        assert_eq!(wrong.errors.of("current_password"), Some("The password is not right."));
    }
}
