//! Settings that are URLs: origins, the database, Redis; and how their passwords are hidden.

use std::path::PathBuf;

use redis::IntoConnectionInfo as _;
use secrecy::SecretString;
use url::Url;

use super::parse::Parsed;
use super::postgres_url::postgres_url;
use super::{DatabaseUrl, PublicUrl, RedisUrl};

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

/// The same.
pub fn default_database_url(text_of: &dyn Fn(&str) -> String) -> String {
    let folder = PathBuf::from(text_of("data_dir"));
    format!("sqlite://{}", folder.join("portcullis.db").display())
}

/// `sqlite://path` or `postgres://…`.
pub fn database_url(text: &str) -> Parsed<DatabaseUrl> {
    if let Some(path) = text.strip_prefix("sqlite://") {
        return match path {
            "" | ":memory:" => Err("write the path of a file after sqlite://, such as sqlite://./portcullis.db".into()),
            path if path.contains(['?', '#']) => Err("write sqlite:// and the path of a file without ? and #".into()),
            path => Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
        };
    }
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err("write sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/NAME".into());
    }
    postgres_url(text).map(|url| DatabaseUrl::Postgres(Box::new(url)))
}

/// `redis://`, `rediss://`, `redis+unix://`, or `redis-cluster://[user:password@]host:port,host:port`.
pub fn redis_url(text: &str) -> Parsed<RedisUrl> {
    let fine = |url: &str| url.into_connection_info().is_ok();
    if let Some(nodes) = text.strip_prefix("redis-cluster://") {
        let (credentials, nodes) = match nodes.rsplit_once('@') {
            Some((credentials, nodes)) => (format!("{credentials}@"), nodes),
            None => (String::new(), nodes),
        };
        let urls: Vec<_> = nodes
            .trim_end_matches('/')
            .split(',')
            .map(|node| format!("redis://{credentials}{}", node.trim()))
            .collect();
        // A node is a host with its port and nothing else: a cluster has no numbered databases.
        if urls.iter().all(|url| fine(url) && is_host_and_port(url)) {
            return Ok(RedisUrl::Cluster(urls.into_iter().map(SecretString::from).collect()));
        }
        return Err("write redis-cluster://HOST:PORT,HOST:PORT with the nodes of the cluster".into());
    }
    if ["redis://", "rediss://", "redis+unix://"].iter().any(|scheme| text.starts_with(scheme)) && fine(text) {
        Ok(RedisUrl::Single(text.into()))
    } else {
        Err("write redis://HOST:PORT, rediss://HOST:PORT, redis+unix:///PATH or redis-cluster://HOST:PORT,HOST:PORT, \
             with % codes for special characters of the password"
            .into())
    }
}

fn is_host_and_port(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        url.port().is_some() && url.path().is_empty() && url.query().is_none() && url.fragment().is_none()
    })
}

/// The URL with its password hidden, in the userinfo and in the query. Hides rather too much: in a password that was
/// not written with % codes, everything up to the last `@` counts.
pub fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return MASK.to_owned() };
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

fn masked_option(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if name.contains("pass") => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::super::postgres_url::SSL_MODES;
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
        ] {
            assert!(database_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn redis_is_one_server_or_a_cluster_whose_nodes_share_the_credentials() {
        for text in ["redis://h", "rediss://u:p@h:6380/1", "redis+unix:///run/redis.sock?pass=p"] {
            assert!(matches!(redis_url(text), Ok(RedisUrl::Single(_))), "{text}");
        }
        let Ok(RedisUrl::Cluster(nodes)) = redis_url("redis-cluster://u:p@a:7000,b:7001,[::1]:7002") else {
            panic!("a cluster");
        };
        let nodes: Vec<_> = nodes.iter().map(|node| node.expose_secret()).collect();
        assert_eq!(nodes, ["redis://u:p@a:7000", "redis://u:p@b:7001", "redis://u:p@[::1]:7002"]);
        for text in [
            "",
            "h:6379",
            "http://h",
            "redis://",
            "redis://h/x",
            "unix:///s",
            "redis-cluster://",
            "redis-cluster://a",
            "redis-cluster://a:1,",
            "redis-cluster://a:1/2",
            "redis-cluster://a:1,b:x",
        ] {
            assert!(redis_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_masked_url_has_no_password_wherever_it_stood() {
        for (url, shown) in [
            ("postgres://u:secret@h/n", "postgres://u:********@h/n"),
            ("postgres://u:sec/ret?x@y@h/n", "postgres://u:********@h/n"),
            ("postgres://h/n?password=secret&sslmode=require", "postgres://h/n?password=********&sslmode=require"),
            ("redis+unix:///s?db=1&pass=secret", "redis+unix:///s?db=1&pass=********"),
            ("redis-cluster://:secret@a:1,b:2", "redis-cluster://:********@a:1,b:2"),
            ("sqlite://./data/p.db", "sqlite://./data/p.db"),
            ("secret", "********"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }
}
