//! `database_url` where it names a PostgreSQL: a URL or keywords with values, as libpq reads them (PostgreSQL 17,
//! "Connection Strings"). What they say is in [`super::postgres_parts`].

use super::connection_text::{Part, decoded, host_and_port, options};
use super::parse::Parsed;
use super::postgres_parts::{PostgresUrl, is_named, server};

pub(super) const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME?…`, or `host=HOST dbname=NAME …`.
pub fn postgres_url(text: &str) -> Parsed<PostgresUrl> {
    match SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) {
        Some(rest) => server(&parts_of_url(rest)?),
        None => server(&parts_of_keywords(text)?),
    }
}

/// Whether the text begins as keywords with values do.
pub(super) fn has_keywords(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        let name = name.trim();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

fn parts_of_url(rest: &str) -> Parsed<Vec<Part>> {
    let mut parts = Vec::new();
    let mut part = |name: &str, text: &str| {
        if !text.is_empty() {
            parts.push((name.to_owned(), decoded(name, text)?));
        }
        Ok::<_, String>(())
    };
    // The first @ ends them, unless the hosts have ended before.
    let rest = match rest.find(['@', '/']).filter(|at| rest[*at..].starts_with('@')) {
        None => rest,
        Some(at) => {
            let (user, password) = rest[..at].split_once(':').unwrap_or((&rest[..at], ""));
            part("user", user)?;
            part("password", password)?;
            &rest[at + 1..]
        }
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // Behind a ? there may be an @, but names that nobody has given to a part are then the rest of a password.
    let is_rest = |pair: &str| !pair.is_empty() && !is_named(pair.split_once('=').map_or(pair, |(name, _)| name));
    if rest.contains('@') || query.contains('@') && query.split('&').any(is_rest) {
        return Err("write @ as %40, / as %2F and ? as %3F in user and password".to_owned());
    }
    let (places, name) = rest.split_once('/').unwrap_or((rest, ""));
    if !places.is_empty() {
        let places = places.split(',').map(host_and_port).collect::<Parsed<Vec<_>>>()?;
        let (hosts, ports): (Vec<_>, Vec<_>) = places.into_iter().unzip();
        part("host", &hosts.join(","))?;
        if ports.iter().any(Option::is_some) {
            part("port", &ports.iter().map(|port| port.unwrap_or_default()).collect::<Vec<_>>().join(","))?;
        }
    }
    part("dbname", name)?;
    let mut given = options(query)?;
    for (name, value) in &mut given {
        // As JDBC says it.
        if name.as_str() == "ssl" && value.as_slice() == b"true" {
            (*name, *value) = ("sslmode".to_owned(), b"require".to_vec());
        }
    }
    parts.extend(given);
    Ok(parts)
}

/// `name = value`, a value with spaces in single quotes, and a backslash before a quote or a backslash.
fn parts_of_keywords(text: &str) -> Parsed<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name = &rest[..end];
        let Some(after) = rest[end..].trim_start().strip_prefix('=') else {
            // The word may belong to a password.
            return Err("write KEYWORD=VALUE with spaces between them, and a value with spaces in single quotes".into());
        };
        let (value, after) = keyword_value(after.trim_start())?;
        parts.push((name.to_owned(), value.into_bytes()));
        rest = after.trim_start();
    }
    Ok(parts)
}

fn keyword_value(text: &str) -> Parsed<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            c if !quoted && c.is_whitespace() => return Ok((value, &text[at..])),
            c => value.push(c),
        }
    }
    if quoted { Err("close the single quotes of the last value".to_owned()) } else { Ok((value, "")) }
}

#[cfg(test)]
mod tests;
