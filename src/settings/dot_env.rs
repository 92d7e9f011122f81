//! The format of `.env`: lines as Docker and systemd take them, and what stands there is meant.
//!
//! A line is `NAME=value`; `export ` may stand before it. Empty lines, and those that begin with `#`, are left out. A
//! value ends with the line, or before a `#` after a space, and is taken without the spaces around it. In quotes,
//! single or double, it is taken as it is, over several lines too; in double ones `\"` and `\\` stand for a quote and a
//! backslash. Nothing is expanded: a `$` is a dollar sign, in a password too.

/// A name with its value; or the number of a line, from 1, and what is wrong with it, without repeating it: it may hold a
/// secret.
pub(super) type Line<'a> = Result<(&'a str, String), (usize, &'static str)>;

/// What a file says.
pub(super) fn parse(text: &str) -> Vec<Line<'_>> {
    let (mut rest, mut lines, mut number) = (text, Vec::new(), 1);
    while !rest.is_empty() {
        let (taken, said) = line(rest);
        lines.extend(said.map(|said| said.map_err(|wrong| (number, wrong))));
        number += rest[..taken].matches('\n').count();
        rest = &rest[taken..];
    }
    lines
}

type Said<'a> = Option<Result<(&'a str, String), &'static str>>;

/// How many bytes the first line of a text has, its end included, or the lines over which a value in quotes goes; and
/// what it says, if it says anything.
fn line(text: &str) -> (usize, Said<'_>) {
    let end = text.find('\n').map_or(text.len(), |at| at + 1);
    let first = text[..end].trim();
    if is_blank(first) {
        return (end, None);
    }
    let first = first.strip_prefix("export ").unwrap_or(first);
    let Some((name, value)) = first.split_once('=').map(|(name, value)| (name.trim_end(), value.trim_start())) else {
        return (end, Some(Err("is not NAME=value")));
    };
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if name.is_empty() || !is_name(name) {
        return (end, Some(Err("is not NAME=value")));
    }
    let Some(quote @ ('"' | '\'')) = value.chars().next() else {
        return (end, Some(Ok((name, unquoted(value).to_owned()))));
    };
    // `value` is a part of `text`, and what follows its quote may be more than this line.
    let begins = end - text[..end].trim_end_matches(['\n', '\r', ' ', '\t']).len();
    let begins = end - begins - value.len() + 1;
    match quoted(&text[begins..], quote) {
        Ok((value, length)) => {
            let after = begins + length;
            let end = text[after..].find('\n').map_or(text.len(), |at| after + at + 1);
            let said = if is_blank(text[after..end].trim()) {
                Ok((name, value))
            } else {
                Err("goes on after the quotes: put the whole value in quotes, or none of it")
            };
            (end, Some(said))
        }
        Err(wrong) => (end, Some(Err(wrong))),
    }
}

fn is_blank(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

/// Up to a comment: a `#` at the beginning or after white space.
fn unquoted(value: &str) -> &str {
    let begins_comment = |(at, _): &(usize, &str)| value[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let end = value.match_indices('#').find(begins_comment).map_or(value.len(), |(at, _)| at);
    value[..end].trim_end()
}

/// Up to the quote that ends it, and how many bytes that took.
fn quoted(text: &str, quote: char) -> Result<(String, usize), &'static str> {
    let mut value = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next().ok_or("has a quote that nothing ends")? {
            c if c == quote => return Ok((value, text.len() - rest.as_str().len())),
            '\\' if quote == '"' => match rest.next().ok_or("has a quote that nothing ends")? {
                c @ ('"' | '\\') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("A=granite$otter47", "granite$otter47")]
    #[case("A=\"granite$otter47\"", "granite$otter47")]
    #[case("A='granite$otter47'", "granite$otter47")]
    #[case("A=${HOME}`id`\\n", "${HOME}`id`\\n")]
    #[case("A=it's", "it's")]
    #[case("A=a\"b", "a\"b")]
    #[case(r#"A="a \"b\" \\ \n""#, r#"a "b" \ \n"#)]
    #[case(r"A='a \'", r"a \")]
    #[case("A = spaced out ", "spaced out")]
    #[case("A=\" kept \"  # why", " kept ")]
    #[case("A=3 # of it", "3")]
    #[case("A=a#b", "a#b")]
    #[case("A=#", "")]
    #[case("A=", "")]
    #[case("A=a=b==", "a=b==")]
    #[case("export A=1", "1")]
    #[case("A=1\r\n", "1")]
    #[case("# A=2\n\n  \nA=1", "1")]
    #[case("A='-----BEGIN-----\nx=y # z\n-----END-----' # a key\n", "-----BEGIN-----\nx=y # z\n-----END-----")]
    #[case("A=\"one\r\ntwo\"\r\n", "one\r\ntwo")]
    fn what_stands_there_is_meant(#[case] text: &str, #[case] value: &str) {
        assert_eq!(parse(text), [Ok(("A", value.to_owned()))]);
    }

    #[rstest]
    #[case("A=1\n\nnot a line", 3, "is not NAME=value")]
    #[case("=1", 1, "is not NAME=value")]
    #[case("A B=1", 1, "is not NAME=value")]
    #[case("A='two\nlines'\nno", 3, "is not NAME=value")]
    #[case("A=\"secret", 1, "has a quote that nothing ends")]
    #[case("A=\"secret\\", 1, "has a quote that nothing ends")]
    #[case("A='it's'", 1, "goes on after the quotes: put the whole value in quotes, or none of it")]
    fn a_line_that_could_mean_something_else_is_told_by_its_number(
        #[case] text: &str,
        #[case] number: usize,
        #[case] wrong: &str,
    ) {
        assert_eq!(parse(text).pop(), Some(Err((number, wrong))));
    }
}
