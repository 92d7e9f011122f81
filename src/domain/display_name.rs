//! What a person is called.

use unicode_normalization::UnicodeNormalization as _;

use super::FieldError;
use super::invisible::is_invisible;

/// Characters in a display name.
pub const MAX_LENGTH: usize = 100;
/// Joiners and emoji selectors: they shape their neighbours in honest names; alone they show nothing.
pub const SHAPING: [char; 4] = ['\u{200C}', '\u{200D}', '\u{FE0E}', '\u{FE0F}'];

/// The optional name that is shown for a person; empty is none. Any script and any mixture of scripts: it identifies
/// nobody.
///
/// # Errors
/// More than 100 characters, controls, line breaks, or characters that turn the direction of the page around.
pub fn parse_display_name(typed: &str) -> Result<Option<String>, FieldError> {
    if typed.chars().take(MAX_LENGTH + 1).count() > MAX_LENGTH {
        return Err(FieldError::new("name", "too_long", format!("Use at most {MAX_LENGTH} characters.")));
    }
    let typed = typed.trim();
    let shapes = |c: char| SHAPING.contains(&c);
    if typed.chars().any(|c| is_invisible(c) && !shapes(c)) || (!typed.is_empty() && typed.chars().all(shapes)) {
        return Err(FieldError::new("name", "invalid", "Leave out line breaks and invisible characters."));
    }
    Ok((!typed.is_empty()).then(|| typed.nfc().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", None)]
    #[case("  ", None)]
    #[case(" Zoë O'Neil-Łuk ", Some("Zoë O'Neil-Łuk"))]
    #[case("Анна Smith", Some("Анна Smith"))]
    #[case("Anna ❤\u{FE0F}", Some("Anna ❤\u{FE0F}"))]
    #[case("نیک\u{200C}خواه", Some("نیک\u{200C}خواه"))]
    fn a_display_name_may_be_what_people_are_called(#[case] typed: &str, #[case] name: Option<&str>) {
        assert_eq!(parse_display_name(typed).unwrap().as_deref(), name);
    }

    #[rstest]
    #[case("Bob\nAdmin", "invalid")]
    #[case("Bob\u{202E}nimda", "invalid")]
    #[case("\u{1b}[31mBob", "invalid")]
    #[case("\u{200D}", "invalid")]
    #[case(&"x".repeat(101), "too_long")]
    #[case(&" ".repeat(101), "too_long")]
    fn a_display_name_that_could_deceive_is_refused(#[case] typed: &str, #[case] code: &str) {
        let error = parse_display_name(typed).unwrap_err();
        assert_eq!((&*error.field, error.code), ("name", code));
    }
}
