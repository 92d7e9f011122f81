//! How one value is read. A parser that refuses says what to write, never what it was given: that may be a secret.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use chrono::TimeDelta;
use ipnet::IpNet;
use secrecy::SecretString;

use super::Rate;
use crate::domain::keys::RootKey;

/// The value, or what to write instead: "write …".
pub type Parsed<T> = Result<T, String>;

/// Shortest secret that can't be guessed, in bytes.
const MIN_SECRET: usize = 32;

/// Longest duration, in seconds: a hundred years. Adding it to a moment can't overflow.
const MAX_SECONDS: i64 = 100 * 365 * 86_400;

/// A setting that always has a value.
pub fn given<T>(parse: impl Fn(&str) -> Parsed<T>) -> impl Fn(Option<&str>) -> Parsed<T> {
    move |text| parse(text.unwrap_or_default())
}

/// A setting that may be unset.
pub fn optional<T>(parse: impl Fn(&str) -> Parsed<T>) -> impl Fn(Option<&str>) -> Parsed<Option<T>> {
    move |text| text.map(&parse).transpose()
}

/// Values with commas between them; an empty text is none.
pub fn list<T>(parse: impl Fn(&str) -> Parsed<T>) -> impl Fn(&str) -> Parsed<Vec<T>> {
    move |text| match text.trim() {
        "" => Ok(Vec::new()),
        items => items.split(',').map(|item| parse(item.trim())).collect(),
    }
}

/// One of a few words, spelled exactly.
pub fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            format!("write {}", alternatives(&names))
        })
    }
}

/// `a, b or c`.
pub fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

/// A whole number in that range, digits only.
pub fn number<T: FromStr + PartialOrd + Display>(range: RangeInclusive<T>) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        let value = digits(text).filter(|value| range.contains(value));
        value.ok_or_else(|| format!("write a whole number from {} to {}", range.start(), range.end()))
    }
}

fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `90s`, `15m`, `2h`, `14d`; may be `0s`.
pub fn duration(text: &str) -> Parsed<TimeDelta> {
    seconds(text)
        .map(TimeDelta::seconds)
        .ok_or_else(|| "write a whole number and its unit (s, m, h or d), such as 90s, 15m, 2h or 14d".to_owned())
}

/// A duration of at least a second.
pub fn some_time(text: &str) -> Parsed<TimeDelta> {
    match duration(text)? {
        none if none <= TimeDelta::zero() => Err("write a duration of at least 1s".to_owned()),
        some => Ok(some),
    }
}

fn seconds(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let seconds = digits::<i64>(&text[..text.len() - 1])?.checked_mul(unit)?;
    (seconds <= MAX_SECONDS).then_some(seconds)
}

/// `10/1m`: so many in so long, neither of them zero.
pub fn rate(text: &str) -> Parsed<Rate> {
    let parts = text.split_once('/').and_then(|(count, per)| Some((digits(count)?, some_time(per).ok()?)));
    match parts {
        Some((count, per)) if count > 0 => Ok(Rate { count, per }),
        _ => Err("write how many in how long, both above zero, such as 10/1m".to_owned()),
    }
}

/// A network in CIDR notation, or a single address.
pub fn network(text: &str) -> Parsed<IpNet> {
    let network = text.parse::<IpNet>().map(|network| network.trunc());
    network
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "write networks or addresses with commas between them, such as 10.0.0.0/8,::1".to_owned())
}

/// A path of this host.
pub fn path(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() { Err("write a path".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// Any text that says something.
pub fn text(text: &str) -> Parsed<String> {
    match text.trim() {
        "" => Err("write a text that isn't empty, or leave the setting out".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// What keys in Redis begin with. Braces would decide a key's slot in a cluster, which the user's id must do.
pub fn redis_prefix(text: &str) -> Parsed<String> {
    let fine = |c: char| c.is_ascii_graphic() && !matches!(c, '{' | '}');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(fine) {
        Ok(text.to_owned())
    } else {
        Err("write 1 to 64 ASCII characters without spaces and braces, such as portcullis".to_owned())
    }
}

/// What names of cookies begin with. A hyphen follows it in some of them, so that with none in it no cookie of one server
/// has the name of another's.
pub fn cookie_name(text: &str) -> Parsed<String> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.len() <= 64 && text.bytes().all(fine) {
        Ok(text.to_owned())
    } else {
        Err("write 1 to 64 letters, digits and underscores, a letter first, such as portcullis_staging".to_owned())
    }
}

/// A filter of tracing-subscriber: a level, and levels of single targets. It would take a misspelled level for a target.
pub fn log_level(text: &str) -> Parsed<String> {
    let is_level = |word: &str| matches!(word, "off" | "error" | "warn" | "info" | "debug" | "trace");
    let fine = text.split(',').all(|part| is_level(part.rsplit_once('=').map_or(part, |(_, level)| level)));
    if fine && tracing_subscriber::EnvFilter::try_new(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err("write off, error, warn, info, debug or trace, or levels of targets too: info,portcullis=debug".to_owned())
    }
}

/// A secret of any length.
pub fn secret(text: &str) -> Parsed<SecretString> {
    if text.is_empty() { Err("write a secret, or leave the setting out".to_owned()) } else { Ok(text.into()) }
}

pub fn secret_key(text: &str) -> Parsed<RootKey> {
    long_secret(text).map(|text| RootKey::new(text.as_bytes().to_vec()))
}

pub fn jwt_secret(text: &str) -> Parsed<SecretString> {
    long_secret(text).map(SecretString::from)
}

fn long_secret(text: &str) -> Parsed<&str> {
    if text.len() >= MIN_SECRET {
        Ok(text)
    } else {
        Err(format!("write at least {MIN_SECRET} bytes (`portcullis secret generate` prints some)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit_and_nothing_else() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("2h", 7200), ("14d", 1_209_600), ("0s", 0), ("007s", 7)] {
            assert_eq!(duration(text), Ok(TimeDelta::seconds(seconds)), "{text}");
        }
        for text in [
            "",
            "s",
            "15",
            "15 m",
            "1.5h",
            "-1s",
            "+1s",
            "15M",
            "1h30m",
            "15ms",
            "9999999999999999999d",
            "99999d",
            "1é",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(some_time("0m").is_err());
    }

    #[test]
    fn rates_are_a_count_and_a_duration_above_zero() {
        assert_eq!(rate("10/1m"), Ok(Rate { count: 10, per: TimeDelta::seconds(60) }));
        for text in ["", "10", "0/1m", "10/0s", "10/m", "-1/1m", "10/1m/1m", "x/1m"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn networks_may_be_single_addresses_and_lose_their_host_bits() {
        let networks = list(network);
        let shown = |text| networks(text).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        assert_eq!(shown("10.1.2.3/8, ::1,192.0.2.7").as_deref(), Ok("10.0.0.0/8 ::1/128 192.0.2.7/32"));
        assert_eq!(shown("").as_deref(), Ok(""));
        for text in ["10.0.0.0/33", "localhost", "10.0.0.1,", ",", "loopback"] {
            assert!(networks(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_misspelled_log_level_is_refused() {
        for text in ["info", "off", "warn,portcullis=debug", "info,actix_web::server=trace"] {
            assert!(log_level(text).is_ok(), "{text}");
        }
        for text in ["", "inof", "INFO!", "portcullis=loud", "info,", "portcullis"] {
            assert!(log_level(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_outside_their_range_are_refused_with_the_range() {
        let score = number(0u8..=4);
        assert_eq!(score("4"), Ok(4));
        for text in ["5", "-1", "+1", "", "1.0", "256", " 1"] {
            assert_eq!(score(text), Err("write a whole number from 0 to 4".to_owned()), "{text}");
        }
    }

    #[test]
    fn words_are_spelled_exactly() {
        let word = word(&[("EdDSA", 1), ("ES256", 2), ("HS256", 3)]);
        assert_eq!(word("ES256"), Ok(2));
        assert_eq!(word("eddsa"), Err("write EdDSA, ES256 or HS256".to_owned()));
    }

    #[test]
    fn a_prefix_has_no_braces_and_no_spaces() {
        assert!(redis_prefix("portcullis:eu-1").is_ok());
        for text in ["", "a{b}", "a}", "a b", "a\n", "ä"] {
            assert!(redis_prefix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_cookie_of_one_name_is_called_as_one_of_another() {
        assert!(cookie_name("portcullis").is_ok() && cookie_name("Staging_2").is_ok());
        for text in ["", "portcullis-flash", "__Host-a", "_a", "2a", "a b", "a=b", "a;b", "ä", &"a".repeat(65)] {
            assert!(cookie_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn short_secrets_are_refused_without_being_repeated() {
        assert!(secret_key(&"k".repeat(32)).is_ok());
        let error = jwt_secret("hunter2-hunter2-hunter2-hunter2").err();
        assert!(error.as_ref().is_some_and(|error| !error.contains("hunter2")), "{error:?}");
    }
}
