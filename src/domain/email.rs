//! E-mail addresses.

use unicode_security::{RestrictionLevel, RestrictionLevelDetection as _};
use url::{Host, quirks};

use super::FieldError;
use super::invisible::is_invisible;
use super::name_key::NameKey;

/// Octets of an address (RFC 5321, 4.5.3.1.3, less the angle brackets).
pub const MAX_LENGTH: usize = 254;
/// Text beyond this many bytes is no address: four bytes for each character of the longest.
pub(super) const MAX_TYPED_BYTES: usize = 4 * MAX_LENGTH;
/// Octets before the `@` (RFC 5321, 4.5.3.1.1).
pub const MAX_LOCAL: usize = 64;
/// Octets of one label of the domain (RFC 1035, 2.3.4).
pub const MAX_LABEL: usize = 63;
/// What an atom before the `@` may have besides ASCII letters and digits (`atext` of RFC 5322, 3.2.3).
pub const SIGNS: &str = "!#$%&'*+-/=?^_`{|}~";

/// An address that a mail server would take: `dot-atom@domain` of RFC 5321, without quoted strings, address literals
/// and single-label domains. Always ASCII: the domain is lower case and, where it is international, in its A-label
/// spelling (`xn--…`), which is also what is shown, so that no look-alike deceives an administrator. The part before
/// the `@` keeps its case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Takes the spaces around it away, as browsers do.
    ///
    /// # Errors
    /// Says of the field `email` what is wrong with it.
    pub fn parse(typed: &str) -> Result<Self, FieldError> {
        let typed = typed.trim_matches([' ', '\t']);
        if typed.is_empty() {
            return Err(FieldError::new("email", "required", "Enter an e-mail address."));
        }
        let too_long = || FieldError::new("email", "too_long", format!("Use at most {MAX_LENGTH} characters."));
        if typed.len() > MAX_TYPED_BYTES {
            return Err(too_long());
        }
        let invalid = || FieldError::new("email", "invalid", "Write the e-mail as name@example.com.");
        let (local, domain) = typed.split_once('@').ok_or_else(invalid)?;
        if !is_dot_atom(local) {
            return Err(invalid());
        }
        let domain = ascii_domain(domain).ok_or_else(invalid)?;
        let address = format!("{local}@{domain}");
        if local.len() > MAX_LOCAL || address.len() > MAX_LENGTH {
            return Err(too_long());
        }
        Ok(Self(address))
    }

    /// What the store reads back: it was checked when it was written.
    pub fn from_stored(address: String) -> Self {
        Self(address)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With the domain as people write it, where a label of it may be international: for searching, never for showing.
    pub fn as_unicode(&self) -> Option<String> {
        let (local, domain) = self.0.split_once('@')?;
        domain.contains("xn--").then(|| format!("{local}@{}", quirks::domain_to_unicode(domain)))
    }

    /// For comparing and for the `UNIQUE` column. Mail servers may tell apart the cases of what is before the `@`;
    /// none that people use does.
    pub fn key(&self) -> NameKey {
        NameKey::of_valid(&self.0)
    }
}

impl std::fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// `dot-atom-text` of RFC 5322, 3.2.3.
fn is_dot_atom(text: &str) -> bool {
    let is_atext = |c: char| c.is_ascii_alphanumeric() || SIGNS.contains(c);
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// The domain as the DNS spells it, or `None` where it isn't one that could receive mail.
fn ascii_domain(typed: &str) -> Option<String> {
    // IDNA would drop invisible characters without a word, and the URL parser would decode percent signs.
    if typed.contains('%') || typed.chars().any(is_invisible) {
        return None;
    }
    // The parser refuses `xn--` labels that don't come out again as they went in (CVE-2024-12224).
    let Ok(Host::Domain(domain)) = Host::parse(typed) else { return None };
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // One script a label, with the mixtures that Japanese, Chinese and Korean need (UTS 39, 5.2), as browsers have it.
    let unicode = quirks::domain_to_unicode(&domain);
    let is_honest = |label: &str| label.check_restriction_level(RestrictionLevel::HighlyRestrictive);
    let fits = domain.contains('.') && domain.split('.').all(is_label) && unicode.split('.').all(is_honest);
    fits.then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("ada@example.org", "ada@example.org")]
    #[case(" Ada.L+news@Mail.EXAMPLE.org ", "Ada.L+news@mail.example.org")]
    #[case("o'brien_1=x@a-b.co.uk", "o'brien_1=x@a-b.co.uk")]
    #[case("ada@bücher.de", "ada@xn--bcher-kva.de")]
    #[case("ada@xn--BCHER-kva.de", "ada@xn--bcher-kva.de")]
    #[case("ada@日本語テストabc.jp", "ada@xn--abc-4k4bocn0926g0ecl32k.jp")]
    fn an_address_is_kept_with_one_spelling_of_its_domain(#[case] typed: &str, #[case] kept: &str) {
        assert_eq!(EmailAddress::parse(typed).unwrap().as_str(), kept);
    }

    #[rstest]
    #[case::no_at("ada.example.org")]
    #[case::two_at("ada@x@example.org")]
    #[case::two_addresses("a@example.org,b@example.net")]
    #[case::two_addresses_by_semicolon("a@example.org;b@example.net")]
    #[case::nothing_before("@example.org")]
    #[case::nothing_after("ada@")]
    #[case::angle_brackets("Ada <ada@example.org>")]
    #[case::html("<a href=x>@example.org")]
    #[case::quoted("\"ada\"@example.org")]
    #[case::header_injection("ada@example.org\r\nBcc: b@example.net")]
    #[case::line_break_at_the_end("ada@example.org\n")]
    #[case::nul("ada@example.org\0")]
    #[case::inner_space("a da@example.org")]
    #[case::two_dots("a..da@example.org")]
    #[case::dot_at_the_end("ada.@example.org")]
    #[case::comment("ada(x)@example.org")]
    #[case::no_dot_in_the_domain("ada@localhost")]
    #[case::root_dot("ada@example.org.")]
    #[case::empty_label("ada@example..org")]
    #[case::hyphen_first("ada@-example.org")]
    #[case::underscore("ada@ex_ample.org")]
    #[case::ipv4("ada@192.0.2.1")]
    #[case::ipv4_in_hex("ada@0xC0.0.2.1")]
    #[case::ipv6("ada@[2001:db8::1]")]
    #[case::ip_literal("ada@[192.0.2.1]")]
    #[case::percent_encoded("ada@ex%61mple.org")]
    #[case::percent_encoded_at("ada@b%40example.org")]
    #[case::a_label_of_plain_ascii("ada@xn--example-.org")]
    #[case::a_label_that_is_no_punycode("ada@xn--a-\u{e4}.org")]
    #[case::a_label_of_nonsense("ada@xn--99999999999.org")]
    #[case::cyrillic_among_latin("ada@p\u{430}ypal.com")]
    #[case::cyrillic_among_latin_as_a_label("ada@xn--pypal-4ve.com")]
    #[case::zero_width_space("ada@exam\u{200B}ple.org")]
    #[case::soft_hyphen("ada@exam\u{AD}ple.org")]
    #[case::joiner("ada@exam\u{200D}ple.org")]
    #[case::dotless_i_before_the_at("m\u{131}ke@example.org")]
    #[case::full_width_before_the_at("ａda@example.org")]
    #[case::kelvin_before_the_at("mi\u{212A}e@example.org")]
    fn what_is_no_plain_address_is_refused(#[case] typed: &str) {
        let error = EmailAddress::parse(typed).unwrap_err();
        assert_eq!((&*error.field, error.code), ("email", "invalid"));
    }

    #[test]
    fn an_empty_address_is_asked_for() {
        assert_eq!(EmailAddress::parse("  ").unwrap_err().code, "required");
    }

    #[test]
    fn lengths_end_where_smtp_ends_them() {
        let domain = format!("{}.{}.{}.org", "d".repeat(63), "e".repeat(63), "f".repeat(57));
        assert_eq!(domain.len(), 189);
        assert!(EmailAddress::parse(&format!("{}@{domain}", "a".repeat(64))).is_ok());
        for local in [65, 100] {
            let error = EmailAddress::parse(&format!("{}@{domain}", "a".repeat(local))).unwrap_err();
            assert_eq!(error.code, "too_long");
        }
        let error = EmailAddress::parse(&format!("{}@x.{domain}", "a".repeat(64))).unwrap_err();
        assert_eq!(error.code, "too_long");
        assert_eq!(EmailAddress::parse(&format!("ada@{}.org", "x".repeat(1 << 20))).unwrap_err().code, "too_long");
        assert_eq!(EmailAddress::parse(&format!("ada@{}.org", "x".repeat(64))).unwrap_err().code, "invalid");
    }

    #[test]
    fn a_look_alike_in_one_script_is_shown_as_its_a_label() {
        let apple = EmailAddress::parse("ada@\u{430}\u{440}\u{440}\u{4cf}\u{435}.com").unwrap();
        assert_eq!(apple.to_string(), "ada@xn--80ak6aa92e.com");
    }
}
