//! What the document calls valid is what the domain takes, and nothing else: both are asked of the same texts.

use fancy_regex::Regex;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;

use super::*;
use crate::domain::audit_list::TypedAuditFilter;
use crate::domain::display_name::parse_display_name;
use crate::domain::lookup::parse_search;
use crate::domain::password::PasswordPolicy;

/// Whether a text is valid as the document says.
struct Validator {
    lengths: std::ops::RangeInclusive<usize>,
    pattern: Regex,
}

impl Validator {
    fn of<T: PartialSchema>() -> Self {
        let schema = serde_json::to_value(T::schema()).unwrap();
        let length = |name: &str| schema[name].as_u64().map(|length| length as usize);
        let lengths = length("minLength").unwrap_or(0)..=length("maxLength").unwrap_or(usize::MAX);
        Self { lengths, pattern: Regex::new(schema["pattern"].as_str().unwrap()).unwrap() }
    }

    fn takes(&self, text: &str) -> bool {
        self.lengths.contains(&text.chars().count()) && self.pattern.is_match(text).unwrap()
    }
}

/// Texts near what is valid: of plain characters, and of those that some kind of text treats in its own way.
fn texts() -> impl Strategy<Value = String> {
    let special = proptest::sample::select(
        "\0\t\n \u{85}\u{a0}\u{ad}\u{34f}\u{200b}\u{200d}\u{202e}\u{2028}\u{3000}\u{fe0f}\u{feff}\u{e0001}\u{1d173}\
         @._-+^[]\\é日🦀ß"
            .chars()
            .collect::<Vec<_>>(),
    );
    let character =
        prop_oneof![6 => "[a-zA-Z0-9]".prop_map(|text| text.chars().next().unwrap()), 3 => special, 1 => any::<char>()];
    let lengths = prop_oneof![8 => 0..12_usize, 1 => 30..35_usize, 1 => 98..103_usize];
    lengths.prop_flat_map(move |length| {
        proptest::collection::vec(character.clone(), length).prop_map(|all| all.into_iter().collect())
    })
}

proptest! {
    #[test]
    fn usernames(text in texts()) {
        prop_assert_eq!(Validator::of::<Username>().takes(&text), crate::domain::Username::parse(&text).is_ok());
    }

    #[test]
    fn display_names(text in texts()) {
        let (valid, taken) = (Validator::of::<DisplayName>().takes(&text), parse_display_name(&text).is_ok());
        // Joiners around nothing but spaces are taken, if anybody should send them.
        let only_joiners = text.chars().all(|c| is_invisible(c) || c.is_whitespace());
        prop_assert!(valid == taken || (taken && only_joiners), "{text:?}: {valid} {taken}");
    }

    #[test]
    fn new_passwords(text in texts()) {
        let policy = PasswordPolicy { min_length: 0, min_score: 0 };
        let refused = policy.check("password", &text.as_str().into(), &[]).err().map(|error| error.code);
        let valid = Validator::of::<NewPassword>().takes(&text);
        // Whether it can be guessed is beside the point here.
        prop_assert_eq!(valid, !matches!(refused, Some("invalid" | "too_long")), "{:?}", refused);
    }

    #[test]
    fn searches(text in texts()) {
        prop_assert_eq!(Validator::of::<SearchText>().takes(&text), !text.contains('\0') && parse_search(&text).is_ok());
    }

    #[test]
    fn account_names(text in texts()) {
        let untouched = !text.is_empty() && !text.contains('\0') && text.trim() == text;
        prop_assert_eq!(Validator::of::<AccountName>().takes(&text), untouched);
    }

    #[test]
    fn emails_of_likely_parts(local in "[a-z.+_'-]{0,8}", labels in proptest::collection::vec("[a-zA-Z0-9-]{0,5}", 0..4), top in "[a-z0-9-]{0,4}") {
        let text = format!("{local}@{}", labels.iter().chain([&top]).map(String::as_str).collect::<Vec<_>>().join("."));
        prop_assume!(!text.to_lowercase().contains("xn--"));
        let (valid, taken) = (Validator::of::<EmailAddress>().takes(&text), crate::domain::EmailAddress::parse(&text).is_ok());
        // A domain may end in a label that begins with a digit, but none does.
        prop_assert!(valid == taken || (taken && top.starts_with(|c: char| c.is_ascii_digit())), "{text}: {valid} {taken}");
    }

    #[test]
    fn emails(text in texts()) {
        let taken = crate::domain::EmailAddress::parse(&text).is_ok();
        prop_assert!(taken || !Validator::of::<EmailAddress>().takes(&text));
    }
}

#[rstest]
#[case::longest_local(64, 3, true)]
#[case::local_too_long(65, 3, false)]
#[case::longest_label(1, 63, true)]
#[case::label_too_long(1, 64, false)]
fn emails_have_the_lengths_of_the_domain(#[case] local: usize, #[case] label: usize, #[case] expected: bool) {
    let text = format!("{}@{}.org", "a".repeat(local), "b".repeat(label));
    assert_eq!(Validator::of::<EmailAddress>().takes(&text), expected);
    assert_eq!(crate::domain::EmailAddress::parse(&text).is_ok(), expected);
}

#[test]
fn characters_that_a_kind_of_text_leaves_out_are_all_in_the_planes_that_are_looked_at() {
    let missed = ('\0'..=char::MAX).filter(|c| is_invisible(*c) || c.is_whitespace() || c.is_control());
    let missed: Vec<_> = missed.filter(|c| !INVISIBLE.contains(c) && !SPACES.contains(c)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn a_cursor_is_as_long_as_the_document_says_at_least() {
    let list = cursor::PagedList::new(&crate::domain::keys::RootKey::new(vec![1; 32]), "list".to_owned());
    let validator = Validator::of::<Cursor>();
    let shortest = list.cursor(&1);
    assert_eq!(shortest.len(), cursor::MIN_LENGTH);
    assert!(validator.takes(&shortest) && validator.takes(&list.cursor(&"ä".repeat(100))));
}

#[rstest]
#[case("2026-11-20", true)]
#[case("2026-11-20T14:00:00Z", true)]
#[case("2026-11-20t14:00:00.123456+02:00", true)]
#[case("2016-12-31T23:59:60Z", true)]
#[case("0001-01-01", true)]
#[case("9999-12-31T23:59:59-23:59", true)]
#[case("2026-02-30", false)]
#[case("yesterday", false)]
fn every_moment_of_rfc_3339_is_read(#[case] text: &str, #[case] expected: bool) {
    let schema: Value = serde_json::to_value(DayOrMoment::schema()).unwrap();
    assert_eq!((&schema["anyOf"][0]["format"], &schema["anyOf"][1]["format"]), (&"date-time".into(), &"date".into()));
    let filter = TypedAuditFilter { since: Some(text.to_owned()), until: Some(text.to_owned()), ..Default::default() };
    assert_eq!(filter.parse().is_ok(), expected);
}
