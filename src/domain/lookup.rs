//! How what somebody typed finds an account: as its username or e-mail, or as a part of a name.

use unicode_normalization::UnicodeNormalization as _;

use super::email::{self, MAX_TYPED_BYTES};
use super::{EmailAddress, FieldError, NameKey, Username};

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
}

/// Full case folding of text in NFKC, as far as it can lead to ASCII. (NFKC has turned `ſ`, ligatures, full-width
/// letters and the Kelvin sign into plain letters; `ı` folds to itself, so it is never an `i`.)
fn fold(text: &str) -> String {
    text.to_lowercase().replace('ß', "ss")
}

/// Characters of a text that is searched for: those of the longest e-mail address.
pub const MAX_SEARCHED: usize = email::MAX_LENGTH;

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

/// The form in which searching compares text: a part of a name is found in whatever case, width or composition it was
/// written. A sigma is one letter wherever it stands, as in a domain, and so is the full stop of Chinese and Japanese.
pub fn search_form(text: &str) -> String {
    fold(&text.nfkc().collect::<String>()).replace('ς', "σ").replace('。', ".")
}

/// What a search for an account looks into: a part of it never spans two lines. An international domain is found as it is
/// kept and shown (`xn--…`), and as people write it.
pub fn search_text(username: &Username, email: &EmailAddress, name: Option<&str>) -> String {
    let unicode = email.as_unicode().map(|address| format!("\n{address}"));
    search_form(&format!("{username}\n{email}\n{}{}", name.unwrap_or_default(), unicode.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn key(typed: &str) -> Option<String> {
        NameKey::of_typed(typed).map(|key| key.as_str().to_owned())
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

    #[rstest]
    #[case("müll")]
    #[case("@MÜLLER.de")]
    #[case("mu\u{308}ller")]
    #[case("müller。de")]
    #[case("X@XN--Mller-KVA.de")]
    #[case("ΟΔΟΣ")]
    #[case("οδος")]
    fn every_spelling_of_a_part_of_an_account_is_found(#[case] typed: &str) {
        let (username, email) = (Username::well_formed("xaver").unwrap(), EmailAddress::parse("x@müller.de").unwrap());
        let text = search_text(&username, &email, Some("Οδοσσεύς"));
        assert!(text.contains(&search_form(typed)), "{text}");
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
}
