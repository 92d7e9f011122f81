//! Settings that are URLs: origins and the database; and how passwords in URLs are hidden.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;

use super::connection_text::decoded;
use super::parse::Parsed;
use super::postgres_url::{SCHEMES, has_keywords, postgres_url};
use super::{DatabaseUrl, PublicUrl};

/// Shown instead of a secret.
pub const MASK: &str = "********";

/// `http://host` or `https://host:port` and nothing after it, in the spelling of a browser's `Origin` header.
pub fn origin(text: &str) -> Parsed<PublicUrl> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            // The URL standard forgives `https:host`, `https:///host` and `\\`; a person who wrote it made a mistake.
            && text.split_once("://").is_some_and(|(_, rest)| !rest.starts_with('/'))
            && !text.contains(['@', '\\'])
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    });
    url.map(|url| PublicUrl(url.origin().ascii_serialization())).ok_or_else(|| {
        "write http:// or https:// and a host, with a port if needed but no path, such as https://auth.example.org"
            .to_owned()
    })
}

pub fn cors_origin(text: &str) -> Parsed<String> {
    origin(text).map(|origin| origin.0)
}

/// Given the texts of the settings before it.
pub fn default_audience(text_of: &dyn Fn(&str) -> String) -> String {
    let text = text_of("public_url");
    // A wrong `public_url` is told for itself.
    origin(&text).map_or(text, |origin| origin.0)
}

/// What would end the path of a file, or be taken for a code.
const OF_URLS: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');

/// The same.
pub fn default_database_url(text_of: &dyn Fn(&str) -> String) -> String {
    let file = PathBuf::from(text_of("data_dir")).join("portcullis.db");
    format!("sqlite://{}", utf8_percent_encode(&file.to_string_lossy(), OF_URLS))
}

/// `sqlite://path`, `postgres://…`, or what libpq takes beside that.
pub fn database_url(text: &str) -> Parsed<DatabaseUrl> {
    if let Some(path) = text.strip_prefix("sqlite://") {
        return match path {
            "" | ":memory:" => Err("write the path of a file after sqlite://, such as sqlite://./portcullis.db".into()),
            path if path.contains(['?', '#']) => {
                Err("write sqlite:// and the path of a file, with %3F for a ? and %23 for a #".into())
            }
            path => Ok(DatabaseUrl::Sqlite(PathBuf::from(OsString::from_vec(decoded("the path", path)?)))),
        };
    }
    if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) && !has_keywords(text) {
        return Err("write sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/NAME".into());
    }
    postgres_url(text).map(|url| DatabaseUrl::Postgres(Box::new(url)))
}

/// The URL with its password hidden, in the userinfo and in the query. Hides rather too much: in a password that was
/// not written with % codes, everything up to the last `@` counts. What is no URL, such as keywords, is hidden whole.
pub fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
        return MASK.to_owned();
    };
    let rest = match rest.split_once('?') {
        Some((head, query)) => format!("{head}?{}", query.split('&').map(masked_option).collect::<Vec<_>>().join("&")),
        None => rest.to_owned(),
    };
    let Some((credentials, host)) = rest.rsplit_once('@') else { return format!("{scheme}://{rest}") };
    match credentials.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:{MASK}@{host}"),
        None => format!("{scheme}://{credentials}@{host}"),
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|next| next.is_ascii_alphanumeric() || matches!(next, '+' | '-' | '.'))
}

fn masked_option(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    }
}

/// Whether an option may be a password, however its name is written.
fn is_secret(name: &str) -> bool {
    let name = percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
    ["pass", "secret", "scram"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::super::postgres_parts::SSL_MODES;
    use super::*;

    #[test]
    fn an_origin_has_neither_path_nor_user() {
        for (text, read) in [
            ("http://localhost:8080", "http://localhost:8080"),
            ("https://Auth.Example.org/", "https://auth.example.org"),
            ("https://auth.example.org:443", "https://auth.example.org"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(origin(text).map(|url| url.0).as_deref(), Ok(read), "{text}");
        }
        for text in [
            "",
            "localhost",
            "localhost:8080",
            "ftp://a.example",
            "https://",
            "https://a.example/auth",
            "https://a.example/?",
            "https://a.example/#",
            "https://u@a.example",
            "https://@a.example",
            "https://u:p@a.example",
            "https://a.example//",
            " https://a.example",
            "https://a.example\n",
            "https:\\\\a.example",
            "*",
            "null",
        ] {
            assert!(origin(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn databases_are_sqlite_files_or_postgres_with_a_known_sslmode() {
        assert!(
            matches!(database_url("sqlite:///var/p.db"), Ok(DatabaseUrl::Sqlite(path)) if path == std::path::Path::new("/var/p.db"))
        );
        assert!(
            matches!(database_url("sqlite://./p.db"), Ok(DatabaseUrl::Sqlite(path)) if path == std::path::Path::new("./p.db"))
        );
        assert!(
            matches!(database_url("sqlite://./a%3f%25%20%23.db"), Ok(DatabaseUrl::Sqlite(path)) if path == std::path::Path::new("./a?% #.db"))
        );
        for mode in SSL_MODES {
            let url = format!("postgres://u:p@h:5432/n?sslmode={mode}&application_name=x");
            assert!(matches!(database_url(&url), Ok(DatabaseUrl::Postgres(_))), "{mode}");
        }
        assert!(database_url("postgresql://h/n").is_ok());
        for text in [
            "",
            "sqlite://",
            "sqlite://:memory:",
            "sqlite:p.db",
            "sqlite://p.db?mode=ro",
            "mysql://h/n",
            "postgres://",
            "postgres://h/n?sslmode=on",
            "postgres://h/n?sslmode=",
            "postgres://h:port/n",
            "postgres://h/n?color=red",
            "mysql://h/n?host=h",
        ] {
            assert!(database_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_masked_url_has_no_password_wherever_it_stood() {
        for (url, shown) in [
            ("postgres://u:secret@h/n", "postgres://u:********@h/n"),
            ("postgres://u:sec/ret?x@y@h/n", "postgres://u:********@h/n"),
            ("postgres://h/n?password=secret&sslmode=require", "postgres://h/n?password=********&sslmode=require"),
            ("postgres://h/n?p%61ssword=secret", "postgres://h/n?p%61ssword=********"),
            ("host=h password=secret", "********"),
            ("host=h password=secret application_name=https://x.example", "********"),
            ("host=h password=sec://ret", "********"),
            ("redis+unix:///s?db=1&pass=secret", "redis+unix:///s?db=1&pass=********"),
            ("redis-cluster://:secret@a:1,b:2", "redis-cluster://:********@a:1,b:2"),
            ("sqlite://./data/p.db", "sqlite://./data/p.db"),
            ("secret", "********"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }
}
