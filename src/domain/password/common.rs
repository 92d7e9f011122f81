//! Passwords that guessers try first, recognised by how they are made.
//!
//! Lists of leaked passwords are mostly short: where ten characters are the least, what people write instead is a
//! common word or two with a year, some digits and an exclamation mark, or a walk over the keyboard. So the list here
//! holds words, and the rule puts them together.

use std::collections::HashSet;
use std::sync::LazyLock;

use zeroize::Zeroizing;

/// Lower-case words as [`plain`] leaves them.
static WORDS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let lines = include_str!("blocklist.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(|word| word.chars().map(plain).collect()).collect()
});

/// Characters of the longest word.
static LONGEST_WORD: LazyLock<usize> = LazyLock::new(|| WORDS.iter().map(String::len).max().unwrap_or_default());

/// Rows, columns and zigzags of keyboards, the alphabet, and well-known series of digits; read in both directions.
static WALKS: LazyLock<Vec<Vec<char>>> = LazyLock::new(|| {
    let forwards = [
        "01234567890",
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiop[]",
        "asdfghjkl;'",
        "zxcvbnm,./",
        "qwertzuiopasdfghjklyxcvbnm",
        "azertyuiopqsdfghjklmwxcvbn",
        "qwertyuiopasdfghjklzxcvbnm",
        "!@#$%^&*()_+",
        "!\"§$%&/()=",
        "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
        "1qazxsw23edcvfr45tgbnhy67ujmki89ol.",
        "zaq12wsxcde34rfvbgt56yhnmju78ik,lo9",
        "zaq1xsw2cde3vfr4bgt5nhy6mju7",
        "qazwsxedcrfvtgbyhnujmikolp",
        "1q2w3e4r5t6y7u8i9o0p",
        "q1w2e3r4t5y6u7i8o9p0",
        "1a2s3d4f5g6h7j8k9l",
        "a1s2d3f4g5h6j7k8l9",
        "1z2x3c4v5b6n7m",
        "z1x2c3v4b5n6m7",
        "1a2b3c4d5e6f7g8h9i",
        "a1b2c3d4e5f6g7h8i9",
        "qweasdzxc",
        "1029384756",
        "0192837465",
        "1357924680",
        "2468013579",
        "31415926535897932384626",
        "11223344556677889900",
        "112358132134",
        "4815162342",
        "147258369",
        "789456123",
    ];
    let both = |walk: &str| [walk.chars().collect(), walk.chars().rev().collect()];
    forwards.into_iter().flat_map(both).collect()
});

/// What a word and a pattern (a walk, a repeated character, a year) add to the cost of putting the password together.
/// A single other character costs as much as a pattern, a separator nothing.
const WORD: usize = 2;
const PATTERN: usize = 1;
/// "Monkey-Football1" and "Summer2025!!" are as dear as a common password gets.
const COMMON: usize = 5;

/// Undoes the usual digits and signs for letters.
pub(super) fn plain(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' | '+' => 't',
        other => other,
    }
}

/// Whether the password is put together from few common parts, the same part again and again counting once.
/// At most 128 characters: the work grows with their square.
pub(super) fn is_common(password: &str) -> bool {
    let typed: Zeroizing<Vec<char>> = Zeroizing::new(password.to_lowercase().chars().collect());
    let typed = once(&typed);
    let plain: Zeroizing<Vec<char>> = Zeroizing::new(typed.iter().copied().map(plain).collect());
    // costs[n]: the least that the first n characters cost.
    let mut costs = vec![usize::MAX; typed.len() + 1];
    costs[0] = 0;
    for start in 0..typed.len() {
        let so_far = costs[start];
        if so_far > COMMON {
            continue;
        }
        let mut reach = |length: usize, cost: usize| {
            if let Some(known) = costs.get_mut(start + length) {
                *known = (*known).min(so_far + cost);
            }
        };
        reach(1, usize::from(!matches!(typed[start], ' ' | '-' | '_' | '.')));
        for length in 3..=longest_pattern(&typed[start..]) {
            reach(length, PATTERN);
        }
        for length in words(&plain[start..]) {
            reach(length, WORD);
        }
    }
    costs[typed.len()] <= COMMON
}

/// The shortest part whose repetition is the whole.
pub(super) fn once(typed: &[char]) -> &[char] {
    let repeats =
        |&period: &usize| typed.len().is_multiple_of(period) && typed[period..] == typed[..typed.len() - period];
    let period = (1..typed.len()).find(repeats).unwrap_or(typed.len());
    &typed[..period]
}

/// How far a walk, a repeated character or a year goes from the start of `rest`; every shorter piece is one, too.
fn longest_pattern(rest: &[char]) -> usize {
    let shared = |walk: &[char]| walk.iter().zip(rest).take_while(|(a, b)| a == b).count();
    let walk = WALKS.iter().flat_map(|walk| (0..walk.len()).map(|at| shared(&walk[at..]))).max().unwrap_or_default();
    let repeated = rest.iter().take_while(|&c| Some(c) == rest.first()).count();
    let year = match rest {
        ['1', '9', a, b, ..] | ['2', '0', a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit() => 4,
        _ => 0,
    };
    walk.max(repeated).max(year)
}

/// The lengths of the common words with which `rest` begins.
fn words(rest: &[char]) -> Vec<usize> {
    let mut word = Zeroizing::new(String::with_capacity(4 * *LONGEST_WORD));
    let mut lengths = Vec::new();
    for (index, &c) in rest.iter().take(*LONGEST_WORD).enumerate() {
        word.push(c);
        if WORDS.contains(word.as_str()) {
            lengths.push(index + 1);
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("password12")]
    #[case("P@ssw0rd2024!")]
    #[case("passwordpassword")]
    #[case("Welcome2024!")]
    #[case("Summer2025!!")]
    #[case("iloveyou1234")]
    #[case("letmein-letmein")]
    #[case("MonkeyFootball1")]
    #[case("qwerty123456")]
    #[case("1qaz2wsx3edc")]
    #[case("1QAZ@WSX3edc")]
    #[case("q1w2e3r4t5y6")]
    #[case("poiuytrewq")]
    #[case("qwertzuiop")]
    #[case("azertyuiop123")]
    #[case("asdfghjkl;'")]
    #[case("!@#$%^&*()")]
    #[case("0987654321")]
    #[case("3141592653")]
    #[case("abcdefghij")]
    #[case("aaaaaaaaaaaaaaaa")]
    #[case("xyxyxyxyxyxyxy")]
    #[case("changeme123!")]
    #[case("123456789987654321")]
    #[case("1234567890qwertyuiop")]
    fn what_guessers_try_first_is_common(#[case] password: &str) {
        assert!(is_common(password));
    }

    #[rstest]
    #[case("correct horse battery staple")]
    #[case("dragon monkey football sunshine")]
    #[case("password-hkq7vz2m")]
    #[case("vqxjmzrtkwpb")]
    #[case("8302957164028")]
    #[case("тихая луна над водой")]
    fn what_takes_more_parts_is_not(#[case] password: &str) {
        assert!(!is_common(password));
    }

    #[test]
    fn the_list_holds_plain_lower_case_words() {
        let lines = include_str!("blocklist.txt").lines().filter(|line| !line.starts_with('#'));
        let bad: Vec<_> =
            lines.filter(|line| line.len() < 4 || !line.bytes().all(|b| b.is_ascii_lowercase())).collect();
        assert!(bad.is_empty(), "{bad:?}");
        assert!(WORDS.len() > 1_000);
    }
}
