use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, SslMode, SslNegotiation, TargetSessionAttrs};

use super::super::connection_text::TlsFiles;
use super::*;

fn only(text: &str) -> Config {
    let url = postgres_url(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(url.hosts.len(), 1, "{text}");
    url.hosts.into_iter().next().unwrap()
}

fn tcp(name: &str) -> Host {
    Host::Tcp(name.to_owned())
}

#[test]
fn every_spelling_of_one_server_is_read() {
    let socket = || Host::Unix(PathBuf::from("/run/pg"));
    for (text, host, port, user, password, name) in [
        ("postgres://h", tcp("h"), 5432, None, None, None),
        ("postgresql://u@h:1/d", tcp("h"), 1, Some("u"), None, Some("d")),
        ("postgres://u%40x:p%2F%3a+@[::1]:1/d%20e", tcp("::1"), 1, Some("u@x"), Some("p/:+"), Some("d e")),
        ("postgres://u:p?q&r=s@h/d", tcp("h"), 5432, Some("u"), Some("p?q&r=s"), Some("d")),
        ("postgres://%2Frun%2Fpg:1/d", socket(), 1, None, None, Some("d")),
        ("postgres:///d?host=/run/pg&user=u@x&password=p%26", socket(), 5432, Some("u@x"), Some("p&"), Some("d")),
        ("postgres://h/d?user=u&password=p&dbname=e&port=2", tcp("h"), 2, Some("u"), Some("p"), Some("e")),
        ("postgres://h:1/d?host=i", tcp("i"), 1, None, None, Some("d")),
        ("host=/run/pg dbname=d", socket(), 5432, None, None, Some("d")),
        (
            r"host = h port=1 user=u password = 'p \\ \' q' dbname=d",
            tcp("h"),
            1,
            Some("u"),
            Some(r"p \ ' q"),
            Some("d"),
        ),
        ("hostaddr=127.0.0.1 dbname=d", tcp("127.0.0.1"), 5432, None, None, Some("d")),
    ] {
        let config = only(text);
        assert_eq!((config.get_hosts(), config.get_ports()), (&[host][..], &[port][..]), "{text}");
        let given = config.get_password().map(|bytes| std::str::from_utf8(bytes).unwrap());
        assert_eq!((config.get_user(), given, config.get_dbname()), (user, password, name), "{text}");
    }
}

#[test]
fn several_hosts_are_tried_and_only_one_that_takes_writes_is_used() {
    for text in [
        "postgres://u:p@a:1,b:2/d",
        "postgres:///d?host=a,b&port=1,2&user=u&target_session_attrs=primary",
        "postgres://a:1,b:2/d?target_session_attrs=any",
        "host=a,b port=1,2 dbname=d load_balance_hosts=random",
    ] {
        let url = postgres_url(text).unwrap();
        let places: Vec<_> =
            url.hosts.iter().map(|config| (config.get_hosts()[0].clone(), config.get_ports()[0])).collect();
        assert_eq!(places, [(tcp("a"), 1), (tcp("b"), 2)], "{text}");
        assert_eq!(url.shuffled, text.contains("random"), "{text}");
        for config in &url.hosts {
            assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite, "{text}");
        }
    }
    let shared = postgres_url("postgres://a,b:2,c/d?port=7").unwrap();
    assert!(shared.hosts.iter().all(|config| config.get_ports() == [7]), "{shared:?}");
}

#[test]
fn what_the_driver_does_not_know_is_understood_and_anything_above_prefer_verifies() {
    assert_eq!(only("postgres://h/d?sslmode=verify-full").get_ssl_mode(), SslMode::Require);
    assert_eq!(only("postgres://h/d?ssl=true").get_ssl_mode(), SslMode::Require);
    assert_eq!(only("postgres://h/d").get_ssl_mode(), SslMode::Prefer);
    assert_eq!(only("postgres://h/d?sslmode=disable").get_ssl_mode(), SslMode::Disable);
    // No TLS is spoken over a socket, whatever is asked for.
    assert_eq!(only("postgres:///d?host=/run&sslmode=verify-full").get_ssl_mode(), SslMode::Disable);
    assert_eq!(postgres_url("postgres://h/d?sslrootcert=system").unwrap().tls, TlsFiles::default());
    let config = only("postgres://h/d?sslmode=require&sslnegotiation=direct&channel_binding=require");
    assert_eq!(config.get_ssl_negotiation(), SslNegotiation::Direct);
    assert_eq!(config.get_channel_binding(), ChannelBinding::Require);
    let config = only(
        "postgres://h/d?options=-cx%3D1&connect_timeout=3&tcp_user_timeout=200&keepalives=0&keepalives_idle=9\
         &keepalives_interval=8&keepalives_count=7&application_name=a&client_encoding=UTF8&gssencmode=prefer",
    );
    assert_eq!(config.get_options(), Some("-cx=1"));
    assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
    assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_millis(200)));
    assert_eq!(config.get_keepalives_idle(), Duration::from_secs(9));
    assert_eq!(config.get_keepalives_interval(), Some(Duration::from_secs(8)));
    assert_eq!((config.get_keepalives(), config.get_keepalives_retries()), (false, Some(7)));
    assert_eq!(config.get_application_name(), Some("a"));
    assert_eq!(only("postgres://h?fallback_application_name=b").get_application_name(), Some("b"));
    assert_eq!(only("postgres://h").get_application_name(), Some("portcullis"));
}

#[test]
fn the_statement_cache_is_on_or_off() {
    assert!(postgres_url("postgres://h/d?statement_cache=off").unwrap().pooled);
    assert!(postgres_url("host=h statement_cache=off").unwrap().pooled);
    assert!(!postgres_url("postgres://h/d?statement_cache=on").unwrap().pooled);
    assert!(!postgres_url("postgres://h/d").unwrap().pooled);
}

#[test]
fn what_can_not_be_done_is_refused_by_its_name() {
    for (text, part) in [
        ("postgres://", "host"),
        ("postgres:///d", "host"),
        ("dbname=d", "host"),
        ("postgres://a,,b/d", "host"),
        ("postgres://@h@i/d", "%40"),
        ("postgres://u:secret/x@h/d", "%40"),
        ("postgres://u:p/w?secret=1@h/d", "%3F"),
        ("postgres://u:p/w?secret=%zz@h/d", "%3F"),
        ("postgres://u:p/w?secret@h/d", "%3F"),
        ("postgres://u:p/w?sslmode=prefer&secret=1@h/d", "%3F"),
        ("postgres://u:secret%zz@h/d", "password"),
        ("postgres://u:secret%00@h/d", "password"),
        ("postgres://%ff@h/d", "user"),
        ("postgres://[::1/d", "host"),
        ("postgres://[::1]x/d", "host"),
        ("postgres://h:port/d", "port"),
        ("postgres://h:0/d", "port"),
        ("postgres://h:65536/d", "port"),
        ("postgres:///d?host=a,b,c&port=1,2", "port"),
        ("postgres://a,b/d?hostaddr=127.0.0.1", "hostaddr"),
        ("postgres://a/d?hostaddr=b", "hostaddr"),
        ("postgres://h/d?sslmode=bogus", "sslmode"),
        ("postgres://h/d?sslmode=", "sslmode"),
        ("postgres://h/d?sslmode=allow", "sslmode"),
        ("postgres://h/d?ssl=false", "sslmode"),
        ("postgres://h/d?connect_timeout=abc", "connect_timeout"),
        ("postgres://h/d?connect_timeout=", "connect_timeout"),
        ("postgres://h/d?keepalives=yes", "keepalives"),
        ("postgres://h/d?target_session_attrs=standby", "target_session_attrs"),
        ("postgres://h/d?target_session_attrs=", "target_session_attrs"),
        ("postgres://h/d?statement_cache=0", "statement_cache"),
        ("postgres://h/d?client_encoding=LATIN1", "client_encoding"),
        ("postgres://h/d?gssencmode=require", "gssencmode"),
        ("postgres://h/d?replication=database", "replication"),
        ("postgres://h/d?service=x", "service"),
        ("postgres://h/d?passfile=/x", "passfile"),
        ("postgres://h/d?sslcert=/there/is/none.pem", "sslkey"),
        ("postgres://h/d?sslkey=/there/is/none.pem", "sslcert"),
        ("postgres://h/d?sslrootcert=/there/is/none.pem", "sslrootcert"),
        ("postgres://h/d?sslcrl=/x", "sslcrl"),
        ("postgres://h/d?require_auth=scram-sha-256", "require_auth"),
        ("postgres://h/d?sslnegotiation=direct", "sslnegotiation"),
        ("postgres://h/d?sslmode=disable&channel_binding=require", "channel_binding"),
        ("postgres:///d?host=/run&channel_binding=require", "channel_binding"),
        ("postgres://h/d?sslmod=require", "sslmode"),
        ("postgres://h/d?sslmode", "NAME=VALUE"),
        ("postgres://h/d?Secret%20x=1", "leave out"),
        ("host=h password=secret x", "KEYWORD=VALUE"),
        ("host=h password='secret", "quotes"),
    ] {
        let told = postgres_url(text).map(|_| ()).expect_err(text);
        assert!(told.contains(part) && !told.to_lowercase().contains("secret"), "{text}: {told}");
    }
    let long = format!("postgres:///d?host=/{}", "x".repeat(100));
    assert!(postgres_url(&long).unwrap_err().contains("host"));
}

#[test]
fn the_password_is_not_in_debug_output() {
    let url = postgres_url("postgres://u:correct-horse@h/d").unwrap();
    assert!(!format!("{url:?}").contains("correct-horse"));
}
