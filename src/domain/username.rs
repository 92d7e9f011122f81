//! The name that people sign in with.

use super::FieldError;
use super::actor_kind::ActorKind;
use super::name_key::NameKey;

/// Characters of the shortest.
pub const MIN_LENGTH: usize = 3;
/// Characters of the longest.
pub const MAX_LENGTH: usize = 32;
/// What one may have besides ASCII letters and digits.
pub const SIGNS: &str = "_.-";

/// [`SIGNS`] to read: `_ . -`.
pub fn signs() -> String {
    SIGNS.chars().map(String::from).collect::<Vec<_>>().join(" ")
}

/// The words, as keys, that the audit log has for an actor without an account, where others have their username.
pub fn reserved() -> impl Iterator<Item = &'static str> {
    ActorKind::ALL.iter().filter(|kind| **kind != ActorKind::User).map(|kind| kind.as_str())
}

/// 3 to 32 ASCII letters, digits, `_`, `.` and `-`, beginning with a letter, in the case in which it was registered.
/// Two usernames are the same when their [keys](Username::key) are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// The name that an account shall have. Checks what was typed just as it is: only looking up forgives spaces and
    /// other spellings.
    ///
    /// # Errors
    /// Says of the field `username` what is wrong with it.
    pub fn parse(typed: &str) -> Result<Self, FieldError> {
        let username = Self::well_formed(typed)?;
        if username.is_reserved() {
            let message = "This name stands for the server itself, or for nobody. Choose another.";
            return Err(FieldError::new("username", "reserved", message));
        }
        Ok(username)
    }

    fn is_reserved(&self) -> bool {
        reserved().any(|word| word == self.key().as_str())
    }

    /// A name that an account could have, or had before it was reserved.
    pub(super) fn well_formed(typed: &str) -> Result<Self, FieldError> {
        let error = |code, message: String| Err(FieldError::new("username", code, message));
        if typed.is_empty() {
            return error("required", "Enter a username.".to_owned());
        }
        if typed.chars().take(MAX_LENGTH + 1).count() > MAX_LENGTH {
            return error("too_long", format!("Use at most {MAX_LENGTH} characters."));
        }
        if !typed.chars().all(|c| c.is_ascii_alphanumeric() || SIGNS.contains(c)) {
            return error("invalid", format!("Use only letters from a to z, digits, and the characters {}", signs()));
        }
        if !typed.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return error("invalid", "Begin the username with a letter.".to_owned());
        }
        if typed.len() < MIN_LENGTH {
            return error("too_short", format!("Use at least {MIN_LENGTH} characters."));
        }
        Ok(Self(typed.to_owned()))
    }

    /// What the store reads back: it was checked when it was written.
    pub fn from_stored(username: String) -> Self {
        Self(username)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For comparing and for the `UNIQUE` column.
    pub fn key(&self) -> NameKey {
        NameKey::of_valid(&self.0)
    }
}

impl std::fmt::Display for Username {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("abc")]
    #[case("Ada_Lovelace-1815.uk")]
    #[case("root")]
    #[case(&"a".repeat(32))]
    fn letters_digits_and_three_signs_make_a_username(#[case] typed: &str) {
        assert_eq!(Username::parse(typed).unwrap().as_str(), typed);
    }

    #[rstest]
    #[case::empty("", "required")]
    #[case::two_characters("ab", "too_short")]
    #[case::thirty_three(&"a".repeat(33), "too_long")]
    #[case::a_megabyte(&"a".repeat(1 << 20), "too_long")]
    #[case::begins_with_a_digit("1abc", "invalid")]
    #[case::begins_with_a_dot(".abc", "invalid")]
    #[case::looks_like_an_email("abc@example.org", "invalid")]
    #[case::space_before(" abc", "invalid")]
    #[case::line_break_after("abc\n", "invalid")]
    #[case::a_cyrillic_letter("p\u{430}ypal", "invalid")]
    #[case::all_cyrillic("\u{430}\u{441}\u{435}", "invalid")]
    #[case::full_width("ａｂｃ", "invalid")]
    #[case::kelvin_sign("mi\u{212A}e", "invalid")]
    #[case::dotless_i("m\u{131}ke", "invalid")]
    #[case::combining_mark("mike\u{301}", "invalid")]
    #[case::zero_width("mi\u{200B}ke", "invalid")]
    #[case::html("a<b>c", "invalid")]
    fn anything_else_is_refused(#[case] typed: &str, #[case] code: &str) {
        let error = Username::parse(typed).unwrap_err();
        assert_eq!((&*error.field, error.code), ("username", code));
    }

    #[rstest]
    #[case("cli")]
    #[case("CLI")]
    #[case("System")]
    #[case("anonymous")]
    fn nobody_is_called_as_an_actor_without_an_account(#[case] typed: &str) {
        assert_eq!(Username::parse(typed).unwrap_err().code, "reserved");
        // Whoever was, before that was reserved, still signs in.
        assert!(NameKey::of_typed(typed).is_some());
        assert!(Username::parse(&format!("{typed}2")).is_ok() && Username::parse("user").is_ok());
    }

    #[test]
    fn usernames_that_differ_in_case_have_one_key() {
        assert_eq!(Username::parse("Ada").unwrap().key(), Username::parse("aDA").unwrap().key());
    }
}
