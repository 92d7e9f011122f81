//! Which passwords are accepted: long ones that nobody would guess, of any composition (NIST SP 800-63B-4, 3.1.1.2).

mod common;

use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;
use zxcvbn::feedback::Warning;

use super::FieldError;

/// Characters of the longest password.
pub const MAX_LENGTH: usize = 128;

/// What the operator asks of passwords.
#[derive(Clone, Copy, Debug)]
pub struct PasswordPolicy {
    /// Characters (code points).
    pub min_length: usize,
    /// zxcvbn, 0 to 4.
    pub min_score: u8,
}

/// A password as it is hashed and measured: in NFC with plain spaces (the OpaqueString profile of RFC 8265), so that
/// keyboards which compose characters differently agree. `None` where it is longer than any password may be.
pub fn prepared(typed: &SecretString) -> Option<Zeroizing<String>> {
    let typed = typed.expose_secret();
    // No character of NFC comes from more than four, so that this much is beyond the limit without being looked at.
    if typed.chars().take(4 * MAX_LENGTH + 1).count() > 4 * MAX_LENGTH {
        return None;
    }
    // Room for the most that NFC can make of it: growing would leave copies behind that are not wiped.
    let mut text = Zeroizing::new(String::with_capacity(3 * typed.len()));
    text.extend(typed.nfc().map(|c| if c.is_whitespace() && !c.is_control() { ' ' } else { c }));
    (text.chars().count() <= MAX_LENGTH).then_some(text)
}

/// Bytes of the longest password that another system may have taken, such as Django, which ends at 4096 characters.
const MAX_TYPED: usize = 4 * 4096;

/// What a stored hash may have been made of: the password as it is [`prepared`] here, and as it was typed, where that
/// is something else: so have other systems hashed it. How many there are depends on what was typed alone, and none
/// are of what is longer than any password.
pub fn spellings(typed: &SecretString) -> Vec<Zeroizing<String>> {
    if typed.expose_secret().len() > MAX_TYPED {
        return Vec::new();
    }
    let typed_as_it_is = Zeroizing::new(typed.expose_secret().to_owned());
    let prepared = prepared(typed).filter(|prepared| *prepared != typed_as_it_is);
    prepared.into_iter().chain([typed_as_it_is]).collect()
}

impl PasswordPolicy {
    /// Whether `typed` is good enough. `about` is what an attacker tries first: the account's username, e-mail and name.
    ///
    /// # Errors
    /// The reason, for the field `field`. No part of the password is in it.
    ///
    /// Takes up to a tenth of a second: [`crate::services::authentication::hasher::Hasher::check`] runs it off the async workers.
    pub fn check(&self, field: &'static str, typed: &SecretString, about: &[&str]) -> Result<(), FieldError> {
        let error = |code, message: String| Err(FieldError::new(field, code, message));
        let Some(password) = prepared(typed) else {
            let length = typed.expose_secret().chars().count();
            return error("too_long", format!("At most {MAX_LENGTH} characters; this has {length}."));
        };
        let length = password.chars().count();
        if length == 0 {
            return error("required", "Enter a password.".to_owned());
        }
        if length < self.min_length {
            return error("too_short", format!("At least {} characters; this has {length}.", self.min_length));
        }
        if password.chars().any(char::is_control) {
            return error("invalid", "Leave out tabs, line breaks and other control characters.".to_owned());
        }
        let mut hints = vec![PRODUCT];
        for text in about {
            hints.push(text);
            hints.extend(text.split(['@', ' ']));
        }
        hints.retain(|hint| hint.chars().count() >= MIN_HINT);
        if hints.iter().any(|hint| is_mostly(&password, hint)) {
            return error(
                "too_similar",
                format!("Don't build the password on the username, the e-mail, the name or “{PRODUCT}”."),
            );
        }
        if common::is_common(&password) {
            return error("too_common", "This is one of the most used passwords, or close to one.".to_owned());
        }
        if let Some(reason) = self.weakness(&password, &hints) {
            return error("too_weak", format!("Too easy to guess{reason}. Add another word or two."));
        }
        Ok(())
    }

    /// Why zxcvbn finds the password too weak; `None`: it doesn't.
    fn weakness(&self, password: &str, hints: &[&str]) -> Option<&'static str> {
        let once = common::once(&Zeroizing::new(password.chars().collect::<Vec<_>>())).len();
        let mut reason = None;
        for length in MEASURED {
            let end = password.char_indices().nth(length.min(once)).map_or(password.len(), |(end, _)| end);
            let entropy = zxcvbn::zxcvbn(&password[..end], hints);
            if u8::from(entropy.score()) >= self.min_score {
                return None;
            }
            reason = Some(in_our_words(entropy.feedback().and_then(|feedback| feedback.warning())));
            if once <= length {
                break;
            }
        }
        reason
    }
}

/// How many characters from the start (of the part that repeats itself) zxcvbn looks at: more only where they aren't enough already. Its time grows with
/// the third power of the length, to most of a second for a hundred characters chosen for it.
const MEASURED: [usize; 2] = [32, 64];

/// The name that every installation has in common.
const PRODUCT: &str = "portcullis";
/// Shorter words occur in passwords by chance.
const MIN_HINT: usize = 3;

/// Whether half of the password or more is `hint`, whatever the case, the punctuation and the digits for letters.
fn is_mostly(password: &str, hint: &str) -> bool {
    let [password, hint] = [password, hint].map(|text| {
        let plain = text.to_lowercase().chars().map(common::plain).filter(|c| c.is_alphanumeric()).collect::<String>();
        Zeroizing::new(plain)
    });
    let [of_password, of_hint] = [&password, &hint].map(|text| text.chars().count());
    let found = password.matches(hint.as_str()).count() * of_hint;
    of_hint >= MIN_HINT && found > 0 && 2 * found >= of_password
}

/// zxcvbn's reasons in our words.
fn in_our_words(warning: Option<Warning>) -> &'static str {
    match warning {
        None => "",
        Some(Warning::StraightRowsOfKeysAreEasyToGuess | Warning::ShortKeyboardPatternsAreEasyToGuess) => {
            ": it follows the keyboard"
        }
        Some(Warning::RepeatsLikeAaaAreEasyToGuess | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess) => {
            ": it repeats itself"
        }
        Some(
            Warning::ThisIsATop10Password
            | Warning::ThisIsATop100Password
            | Warning::ThisIsACommonPassword
            | Warning::ThisIsSimilarToACommonlyUsedPassword,
        ) => ": it is like a common password",
        Some(Warning::SequencesLikeAbcAreEasyToGuess) => ": it is a sequence like abc or 6543",
        Some(Warning::RecentYearsAreEasyToGuess) => ": years are tried first",
        Some(Warning::AWordByItselfIsEasyToGuess) => ": it is a single word",
        Some(Warning::DatesAreOftenEasyToGuess) => ": dates are tried first",
        Some(Warning::NamesAndSurnamesByThemselvesAreEasyToGuess | Warning::CommonNamesAndSurnamesAreEasyToGuess) => {
            ": names are tried first"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const POLICY: PasswordPolicy = PasswordPolicy { min_length: 10, min_score: 3 };
    const ABOUT: &[&str] = &["annabel.lee", "poe@night.example.org", "Annabel Lee"];

    fn check(typed: &str) -> Result<(), FieldError> {
        POLICY.check("password", &typed.into(), ABOUT)
    }

    /// Without repetition or pattern.
    fn random(length: usize) -> String {
        let mut state = 88_172_645_463_325_252_u64;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + (state % 94) as u8)
        };
        (0..length).map(next).collect()
    }

    #[rstest]
    #[case::ten(&random(10))]
    #[case::sixty_four(&random(64))]
    #[case::a_hundred_and_twenty_eight(&random(128))]
    #[case::passphrase_with_spaces("correct horse battery staple")]
    #[case::lower_case_only("vqxjmzrtkwpb")]
    #[case::digits_only("8302957164028")]
    #[case::unicode("тихая луна над водой")]
    #[case::emoji("🦀🐙🌵🪁🧭🧶🪗🛶🧊🪐")]
    #[case::a_hundred_and_twenty_eight_of_four_bytes(&"🦀🌵🪁🧭🧶🪗🛶🐙🧊🪐🦀🐙🪁🌵🧶🧭".repeat(8))]
    #[case::a_word_about_the_person_among_others("lee-walks-quietly-homeward")]
    fn long_and_unusual_is_all_it_takes(#[case] typed: &str) {
        assert_eq!(check(typed), Ok(()));
    }

    #[rstest]
    #[case::empty("", "required", "Enter a password.")]
    #[case::nine(&random(9), "too_short", "At least 10 characters; this has 9.")]
    #[case::nine_of_more_bytes("äöüßéñçøå", "too_short", "At least 10 characters; this has 9.")]
    #[case::a_hundred_and_twenty_nine(&random(129), "too_long", "At most 128 characters; this has 129.")]
    #[case::a_megabyte(&"x".repeat(1 << 20), "too_long", "At most 128 characters; this has 1048576.")]
    #[case::nul("vqxjm\0zrtkwpb", "invalid", "Leave out tabs, line breaks and other control characters.")]
    #[case::line_break("vqxjmzrtkwpb\n", "invalid", "Leave out tabs, line breaks and other control characters.")]
    fn a_password_of_the_wrong_shape_is_refused_with_the_reason(
        #[case] typed: &str,
        #[case] code: &str,
        #[case] message: &str,
    ) {
        let error = check(typed).unwrap_err();
        assert_eq!((&*error.field, error.code, error.message.as_str()), ("password", code, message));
    }

    #[rstest]
    #[case("annabel.lee1")]
    #[case("Annabel-Lee!!")]
    #[case("@nnab3l.l33")]
    #[case("poe@night.example.org")]
    #[case("poepoepoepoe7")]
    #[case("portcullis")]
    #[case("Portcullis2026")]
    #[case("p0rtcull1s-server")]
    #[case("portcullis portcullis")]
    fn a_password_made_of_names_that_everybody_knows_is_refused(#[case] typed: &str) {
        assert_eq!(check(typed).unwrap_err().code, "too_similar");
    }

    #[rstest]
    #[case("Password1234!")]
    #[case("passwordpassword")]
    #[case("1q2w3e4r5t6y")]
    #[case("zaq12wsxcde3")]
    fn a_common_password_is_refused_whatever_the_score(#[case] typed: &str) {
        let lax = PasswordPolicy { min_length: 10, min_score: 0 };
        assert_eq!(lax.check("new_password", &typed.into(), &[]).unwrap_err().code, "too_common");
    }

    #[test]
    fn a_guessable_password_is_refused_with_zxcvbns_reason_in_plain_words() {
        let error = check("jonathan1987").unwrap_err();
        assert_eq!(error.code, "too_weak");
        assert_eq!(error.message, "Too easy to guess: names are tried first. Add another word or two.");
    }

    #[test]
    fn a_word_is_no_better_for_being_repeated() {
        assert_eq!(check("extraordinary").unwrap_err().code, "too_weak");
        assert_eq!(check(&"extraordinary".repeat(3)).unwrap_err().code, "too_weak");
    }

    #[test]
    fn what_comes_after_a_weak_beginning_counts() {
        let weak = "a".repeat(40);
        assert_eq!(check(&format!("{weak}{}", random(12))), Ok(()));
    }

    #[test]
    fn the_same_password_from_two_keyboards_is_prepared_alike() {
        let [composed, decomposed] = ["Zo\u{eb}\u{a0}x", "Zoe\u{308} x"].map(|typed| prepared(&typed.into()).unwrap());
        assert_eq!(composed, decomposed);
        assert_ne!(*composed, *prepared(&"zo\u{eb} x".into()).unwrap());
    }

    proptest::proptest! {
        #[test]
        fn no_password_is_too_much_for_the_check(typed in "\\PC{10,128}", about in "\\PC{0,40}") {
            let _ = POLICY.check("password", &typed.into(), &[&about]);
        }
    }
}
