//! What a name may look like, and the one form in which names are compared.
//!
//! Registering, signing in, counting failures, looking up and the `UNIQUE` columns all use [`NameKey`]. A second
//! opinion anywhere on which spellings are the same name is how accounts get duplicated, taken over or guessed at
//! twice the rate (CVE-2019-19844, CVE-2025-24806). Keys are pure ASCII, so a newer Unicode table can't change them.

use unicode_normalization::UnicodeNormalization as _;
use unicode_security::GeneralSecurityProfile as _;
use unicode_security::general_security_profile::IdentifierType;

use super::{EmailAddress, FieldError, Username};

/// Text beyond this many bytes names nobody: the longest e-mail address, 254 characters, at four bytes each.
pub(super) const MAX_TYPED_BYTES: usize = 4 * super::email::MAX_LENGTH;

/// Characters in a display name.
pub const MAX_DISPLAY_NAME: usize = 100;
/// Joiners and emoji selectors: they shape their neighbours in honest display names; alone they show nothing.
pub const SHAPING: [char; 4] = ['\u{200C}', '\u{200D}', '\u{FE0E}', '\u{FE0F}'];

/// The canonical form of a username or an e-mail address: equal keys are the same name. A key with an `@` is an
/// e-mail's; usernames can't have one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameKey(String);

impl NameKey {
    /// The key of what somebody typed to sign in: a username or an e-mail address, in any case, width or composition,
    /// with white space around it. `None`: no account can have this name.
    pub fn of_typed(typed: &str) -> Option<Self> {
        let typed = typed.trim();
        if typed.len() > MAX_TYPED_BYTES {
            return None;
        }
        let text: String = typed.nfkc().collect();
        match text.rsplit_once('@') {
            // The domain keeps its own rules (IDNA, where "ß" is not "ss"): the address type applies them.
            Some((local, domain)) => EmailAddress::parse(&format!("{}@{domain}", fold(local))).ok().map(|e| e.key()),
            None => Username::well_formed(&fold(&text)).ok().map(|username| username.key()),
        }
    }

    /// The key of a name that is known to be valid, which makes it ASCII.
    pub(super) fn of_valid(name: &str) -> Self {
        Self(name.to_ascii_lowercase())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Full case folding of text in NFKC, as far as it can lead to ASCII. (NFKC has turned `ſ`, ligatures, full-width
/// letters and the Kelvin sign into plain letters; `ı` folds to itself, so it is never an `i`.)
fn fold(text: &str) -> String {
    text.to_lowercase().replace('ß', "ss")
}

/// Characters of a text that is searched for: those of the longest e-mail address.
pub const MAX_SEARCHED: usize = super::email::MAX_LENGTH;

/// The text of a search, without spaces around it; empty is none.
///
/// # Errors
/// Says of the field `q` that it is longer than what can be found, as it was typed or in its
/// [form for searching](search_form): the databases bound what they compare with.
pub fn parse_search(typed: &str) -> Result<&str, FieldError> {
    let text = typed.trim();
    let is_long = |text: &str| text.chars().nth(MAX_SEARCHED).is_some();
    if is_long(typed) || is_long(&search_form(text)) {
        return Err(FieldError::new("q", "too_long", format!("Search for at most {MAX_SEARCHED} characters.")));
    }
    Ok(text)
}

/// The form in which searching compares text: a part of a name is found in whatever case or width it was written.
pub fn search_form(text: &str) -> String {
    fold(&text.nfkc().collect::<String>())
}

/// Whether the character shows nothing or moves what is around it: controls, line separators, zero-width and
/// bidirectional formatting characters, soft hyphens, fillers, variation selectors, tags.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        || matches!(c, '\u{FFF9}'..='\u{FFFB}')
        || matches!(c.identifier_type(), Some(IdentifierType::Default_Ignorable))
}

/// The optional name that is shown for a person; empty is none. Any script and any mixture of scripts: it identifies
/// nobody.
///
/// # Errors
/// More than 100 characters, controls, line breaks, or characters that turn the direction of the page around.
pub fn parse_display_name(typed: &str) -> Result<Option<String>, FieldError> {
    if typed.chars().take(MAX_DISPLAY_NAME + 1).count() > MAX_DISPLAY_NAME {
        return Err(FieldError::new("name", "too_long", format!("Use at most {MAX_DISPLAY_NAME} characters.")));
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

    fn key(typed: &str) -> Option<String> {
        NameKey::of_typed(typed).map(|key| key.0)
    }

    #[rstest]
    #[case::as_registered("maike.k")]
    #[case::capitals("MAIKE.K")]
    #[case::spaces_around(" \tmaike.k\u{a0}\r\n")]
    #[case::full_width("ｍａｉｋｅ．ｋ")]
    #[case::kelvin_sign("mai\u{212A}e.\u{212A}")]
    fn every_spelling_of_a_username_has_one_key(#[case] typed: &str) {
        assert_eq!(key(typed).as_deref(), Some("maike.k"));
    }

    #[rstest]
    #[case("Kim.S@Example.ORG")]
    #[case(" kim.s@example.org ")]
    #[case("kim.s＠ｅｘａｍｐｌｅ.org")]
    #[case("kim.\u{17F}@example.org")]
    #[case("\u{212A}im.s@example.org")]
    #[case("kim.s@example。org")]
    fn every_spelling_of_an_email_has_one_key(#[case] typed: &str) {
        assert_eq!(key(typed).as_deref(), Some("kim.s@example.org"));
        assert_eq!(EmailAddress::parse("KIM.S@EXAMPLE.org").unwrap().key().as_str(), "kim.s@example.org");
    }

    #[rstest]
    #[case::dotless_i("m\u{131}ke@example.org")]
    #[case::dotted_capital_i("M\u{130}KE@example.org")]
    #[case::cyrillic("m\u{456}ke")]
    #[case::zero_width_space("mike\u{200B}")]
    #[case::soft_hyphen("mi\u{AD}ke@example.org")]
    #[case::soft_hyphen_in_domain("mike@exam\u{AD}ple.org")]
    #[case::direction_override("\u{202E}ekim")]
    #[case::combining("mike\u{301}")]
    #[case::nul("mike\0")]
    #[case::inner_space("mi ke")]
    #[case::empty("")]
    fn a_name_that_no_account_can_have_has_no_key(#[case] typed: &str) {
        assert_eq!(key(typed), None);
    }

    #[test]
    fn a_sharp_s_in_a_domain_is_another_domain() {
        assert_eq!(key("a@straße.de").as_deref(), Some("a@xn--strae-oqa.de"));
        assert_eq!(key("a@strasse.de").as_deref(), Some("a@strasse.de"));
        assert_eq!(key("Groß").as_deref(), Some("gross"));
    }

    #[test]
    fn long_text_names_nobody_and_costs_nothing() {
        assert_eq!(key(&"ﷺ".repeat(1_000_000)), None);
    }

    #[test]
    fn a_text_that_is_searched_for_is_bounded_as_typed_and_as_compared() {
        assert_eq!(parse_search(" aBc "), Ok("aBc"));
        for (fits, too_long) in
            [("x".repeat(254), "x".repeat(255)), ("ﷺ".repeat(14), "ﷺ".repeat(15)), (" ".repeat(254), " ".repeat(255))]
        {
            assert!(parse_search(&fits).is_ok());
            assert_eq!(parse_search(&too_long).unwrap_err().field, "q");
        }
    }

    #[rstest]
    #[case('\u{AD}')]
    #[case('\u{34F}')]
    #[case('\u{61C}')]
    #[case('\u{115F}')]
    #[case('\u{180E}')]
    #[case('\u{200B}')]
    #[case('\u{202E}')]
    #[case('\u{2028}')]
    #[case('\u{2066}')]
    #[case('\u{3164}')]
    #[case('\u{FE0F}')]
    #[case('\u{FEFF}')]
    #[case('\u{FFA0}')]
    #[case('\u{E0041}')]
    #[case('\u{E0100}')]
    #[case('\u{85}')]
    #[case('\n')]
    fn what_nobody_can_see_is_invisible(#[case] c: char) {
        assert!(is_invisible(c), "{:x}", u32::from(c));
    }

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
