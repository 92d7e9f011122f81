//! What the document says of each kind of text that is sent to us: how long it may be, and what it is made of. The
//! limits are those of the domain, which reads the texts.
//!
//! A body or a query names a kind by `value_type`; it is read as text, and parsed by the domain.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::invisible::is_invisible;
use crate::domain::{UserStatus, cursor, display_name, email, lookup, password, username};
use crate::http::if_match;

/// What the filter by status takes besides the statuses.
pub(super) const LOCKED: &str = "locked";
/// The order that every list has without another.
pub(super) const NEWEST_FIRST: &str = "-created_at";
/// The one `grant_type` that there is.
pub(super) const GRANT_TYPE: &str = "refresh_token";

/// Declares kinds of text, each with the schema that its description is added to.
macro_rules! kinds {
    ($($(#[doc = $line:literal])+ $name:ident = $schema:expr;)+) => {$(
        $(#[doc = $line])+
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.description(Some(concat!($($line),+).trim())).into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

kinds! {
    /// Any text but one with the character NUL.
    Text = text().pattern(Some(without_nul()));
    /// Opaque: keep it, and send it back as it is.
    Token = text().pattern(Some(without_nul())).min_length(Some(1));
    /// A name to sign in with: ASCII letters, digits, `_`, `.` and `-`, a letter first. Case is kept, but makes no
    /// difference. `cli`, `system` and `anonymous` are nobody’s.
    Username = text()
        .min_length(Some(username::MIN_LENGTH))
        .max_length(Some(username::MAX_LENGTH))
        .pattern(Some(username()));
    /// An address that mail can be sent to, of an international domain the spelling with `xn--`.
    EmailAddress = text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)))
        .max_length(Some(email::MAX_LENGTH))
        .pattern(Some(email()));
    /// What a person is called, in any script but without line breaks and invisible characters; empty is none.
    DisplayName = text().max_length(Some(display_name::MAX_LENGTH)).pattern(Some(display_name()));
    /// What a program calls the device that it runs on. The first 100 characters are kept, in one line and without those
    /// that are invisible.
    DeviceName = text().pattern(Some(without_nul()));
    /// A password that there is already: any text but one with the character NUL.
    Password = text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
        .pattern(Some(without_nul()));
    /// A password that shall be: no control characters, and not one that is used by many, like the account’s own names
    /// or easy to guess otherwise.
    NewPassword = text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
        .max_length(Some(password::MAX_LENGTH))
        .pattern(Some(without_controls()));
    /// What is searched for; case and width make no difference.
    SearchText = text().max_length(Some(lookup::MAX_SEARCHED)).pattern(Some(without_nul()));
    /// Opaque: `next_cursor` of a page of the same list with the same filters.
    Cursor = text().min_length(Some(cursor::MIN_LENGTH)).pattern(Some("^[A-Za-z0-9_-]+$".to_owned()));
    /// A moment (RFC 3339), or a day in UTC.
    DayOrMoment = AnyOfBuilder::new()
        .item(text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))))
        .item(text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Date))));
    /// An IP address, whole.
    IpAddress = AnyOfBuilder::new()
        .item(text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv4))))
        .item(text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv6))));
    /// By which an account is known: a username that it has or had, its e-mail or its id.
    AccountName = text().min_length(Some(1)).pattern(Some(account_name()));
    /// The id of a request: `x-request-id` of its answer, `request_id` of a problem.
    RequestId = text().format(Some(SchemaFormat::Custom("uuid".to_owned())));
    /// `ETag`s of what is meant, or `*`.
    EntityTags = text().min_length(Some(1)).pattern(Some(if_match::PATTERN.to_owned()));
    /// Which accounts: by status, or those that failed sign-ins have locked.
    StatusFilter = text().enum_values(Some(
        UserStatus::ALL.iter().map(|status| status.as_str()).chain([LOCKED]),
    ));
    /// The one order that the list has.
    NewestFirstOrder = text().enum_values(Some([NEWEST_FIRST]));
    /// The one way in which tokens are got here.
    GrantType = text().enum_values(Some([GRANT_TYPE]));
}

/// The name and the value of a form’s field that nobody asked for.
pub fn other_field() -> Ref {
    Ref::from_schema_name(Text::name())
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String))
}

// --- patterns: as ECMA-262 has them with its flag u, and no more of it than Python, Rust and Java know too ------------

fn username() -> String {
    // In any case: a pattern has no flag for that.
    let in_any_case = |word: &str| word.chars().map(|c| format!("[{}{c}]", c.to_ascii_uppercase())).collect::<String>();
    let reserved: Vec<_> = username::reserved().map(in_any_case).collect();
    format!("^(?!(?:{})$)[A-Za-z][A-Za-z0-9{}]*$", reserved.join("|"), escaped(username::SIGNS))
}

fn email() -> String {
    let atom = format!("[A-Za-z0-9{}]+", escaped(email::SIGNS));
    let label = |first: &str| format!("{first}(?:[A-Za-z0-9-]{{0,{}}}[A-Za-z0-9])?", email::MAX_LABEL - 2);
    // Where a number comes last, it is an address of IPv4 to whoever reads it.
    let domain = format!("(?:{}\\.)+{}", label("[A-Za-z0-9]"), label("[A-Za-z]"));
    format!("^(?=[^@]{{1,{}}}@){atom}(?:\\.{atom})*@{domain}$", email::MAX_LOCAL)
}

fn display_name() -> String {
    let inner = any_but(INVISIBLE.iter().filter(|c| !display_name::SHAPING.contains(c)));
    let (space, visible) = (any_of(SPACES.iter()), visible());
    format!("^{space}*(?:{inner}*{visible}{inner}*)?{space}*$")
}

fn account_name() -> String {
    let edge = any_but(SPACES.iter().chain([&'\0']));
    format!("^{edge}(?:{}*{edge})?$", any_but([&'\0']))
}

fn without_nul() -> String {
    format!("^{}*$", any_but([&'\0']))
}

fn without_controls() -> String {
    format!("^{}*$", any_but(those(char::is_control).iter()))
}

fn visible() -> String {
    any_but(INVISIBLE.union(&SPACES))
}

static INVISIBLE: LazyLock<BTreeSet<char>> = LazyLock::new(|| those(is_invisible));
static SPACES: LazyLock<BTreeSet<char>> = LazyLock::new(|| those(char::is_whitespace));

/// All characters that are so. In the planes that are left out Unicode has none but for private use.
fn those(are: impl Fn(char) -> bool) -> BTreeSet<char> {
    ('\0'..='\u{3FFFF}').chain('\u{E0000}'..='\u{E0FFF}').filter(|c| are(*c)).collect()
}

fn any_of<'a>(characters: impl IntoIterator<Item = &'a char>) -> String {
    format!("[{}]", ranges(characters))
}

fn any_but<'a>(characters: impl IntoIterator<Item = &'a char>) -> String {
    format!("[^{}]", ranges(characters))
}

/// What stands in a class for these characters.
fn ranges<'a>(characters: impl IntoIterator<Item = &'a char>) -> String {
    let mut ranges: Vec<(char, char)> = Vec::new();
    for &c in characters.into_iter().collect::<BTreeSet<_>>() {
        match ranges.last_mut() {
            Some((_, last)) if *last as u32 + 1 == c as u32 => *last = c,
            _ => ranges.push((c, c)),
        }
    }
    let written = ranges.into_iter().map(|(first, last)| match first == last {
        true => spelled(first),
        false => format!("{}-{}", spelled(first), spelled(last)),
    });
    written.collect()
}

/// As every reader of patterns knows it. Beyond four digits each has a notation of its own.
fn spelled(c: char) -> String {
    match c as u32 {
        code @ ..=0xFFFF => format!("\\u{code:04X}"),
        _ => c.to_string(),
    }
}

/// Signs in a class that would mean something there.
fn escaped(signs: &str) -> String {
    signs.chars().flat_map(|c| (if c == '-' || c == '^' { "\\" } else { "" }).chars().chain([c])).collect()
}

#[cfg(test)]
mod tests;
