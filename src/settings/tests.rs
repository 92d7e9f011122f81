use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::domain::keys::RootKey;

/// A folder of its own for each test.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("portcullis-settings-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Self(std::env::temp_dir().join(name));
        std::fs::create_dir(&folder.0).unwrap();
        for (name, text) in files {
            std::fs::write(folder.0.join(name), text).unwrap();
            set_mode(&folder.0.join(name), 0o600);
        }
        folder
    }

    fn sources(&self, flags: &[(&str, &str)], environment: &[(&str, &str)]) -> Sources {
        Sources {
            environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            folder: Some(self.0.clone()),
            ..Sources::of_pairs(flags)
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}

const SECRET: &str = "correct-horse-battery-staple-0123456789";

fn problems(sources: &Sources) -> Vec<String> {
    match load(sources) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// The value and source of a key as they are shown.
fn shown(sources: &Sources, key: &str) -> (Option<String>, String) {
    let loaded = load(sources).unwrap_or_else(|problems| panic!("{problems}"));
    let effective = loaded.effective.into_iter().find(|effective| effective.key == key).unwrap();
    (effective.value, effective.source.to_string())
}

#[test]
fn without_any_source_every_default_holds() {
    let settings = load(&Sources::default()).unwrap().settings;
    assert_eq!(settings.listen, [Listen::Address(([127, 0, 0, 1], 8080).into())]);
    assert_eq!(settings.public_url.as_str(), "http://localhost:8080");
    assert!(!settings.public_url.is_https());
    assert!(matches!(&settings.database_url, DatabaseUrl::Sqlite(path) if path == Path::new("./data/portcullis.db")));
    assert!(
        settings.redis_url.is_none() && settings.secret_key.is_none() && settings.bootstrap_admin_username.is_none()
    );
    assert_eq!(settings.jwt_audience, "http://localhost:8080");
    assert_eq!(settings.lifetime(true).idle, TimeDelta::days(14));
    assert!(settings.trusted_proxies.iter().any(|network| network.contains(&std::net::IpAddr::from([127, 0, 0, 9]))));
    assert!(settings.hash_concurrency >= 1 && settings.cors_origins.is_empty());
}

#[test]
fn a_flag_wins_over_environment_over_dot_env_over_toml_over_default() {
    let folder = Folder::new(&[
        (".env", "OTHER=1\nPORTCULLIS_DATABASE_POOL=3 # of .env\n"),
        ("portcullis.toml", "database_pool = 4\n"),
    ]);
    let flags: &[_] = &[("database_pool", "1")];
    let environment: &[_] = &[("PORTCULLIS_DATABASE_POOL", "2"), ("HOME", "/")];
    for (flags, environment, value, source) in [
        (flags, environment, "1", "--database-pool"),
        (&[], environment, "2", "PORTCULLIS_DATABASE_POOL"),
        (&[], &[], "3", "PORTCULLIS_DATABASE_POOL in .env"),
    ] {
        let sources = folder.sources(flags, environment);
        assert_eq!(shown(&sources, "database_pool"), (Some(value.into()), source.into()));
    }
    std::fs::remove_file(folder.0.join(".env")).unwrap();
    let sources = folder.sources(&[], &[]);
    assert_eq!(shown(&sources, "database_pool"), (Some("4".into()), "database_pool in portcullis.toml".into()));
    assert_eq!(shown(&Sources::default(), "database_pool"), (Some("8".into()), "default".into()));
}

#[test]
fn a_file_in_a_stronger_source_wins_over_a_value_in_a_weaker_one() {
    let folder = Folder::new(&[("key", &format!("{SECRET}\n\n")), ("portcullis.toml", "secret_key = 'short'\n")]);
    let sources = folder.sources(&[], &[("PORTCULLIS_SECRET_KEY_FILE", "key")]);
    let settings = load(&sources).unwrap().settings;
    // One line end is cut, and only one.
    let expected = RootKey::new(format!("{SECRET}\n").into_bytes());
    assert_eq!(settings.secret_key.unwrap().fingerprint(), expected.fingerprint());
    assert_eq!(shown(&sources, "secret_key"), (Some("********".into()), "PORTCULLIS_SECRET_KEY_FILE".into()));
}

#[test]
fn a_value_and_its_file_in_one_source_are_refused() {
    let folder = Folder::new(&[
        ("key", SECRET),
        (".env", &format!("PORTCULLIS_SECRET_KEY={SECRET}\nPORTCULLIS_SECRET_KEY_FILE=key\n")),
        ("portcullis.toml", &format!("secret_key = '{SECRET}'\nsecret_key_file = 'key'\n")),
    ]);
    let both: &[_] = &[("secret_key", SECRET), ("secret_key_file", "key")];
    let told =
        problems(&folder.sources(both, &[("PORTCULLIS_SECRET_KEY", SECRET), ("PORTCULLIS_SECRET_KEY_FILE", "key")]));
    assert_eq!(
        told,
        [
            "secret_key (--secret-key): --secret-key-file is given as well: keep one of them",
            "secret_key (PORTCULLIS_SECRET_KEY): PORTCULLIS_SECRET_KEY_FILE is given as well: keep one of them",
            "secret_key (PORTCULLIS_SECRET_KEY in .env): PORTCULLIS_SECRET_KEY_FILE in .env is given as well: keep one \
             of them",
            "secret_key (secret_key in portcullis.toml): secret_key_file in portcullis.toml is given as well: keep one \
             of them",
        ]
    );
}

/// Of `env` in a pod beside services called `portcullis` and `portcullis-redis`.
const OF_KUBERNETES: &[(&str, &str)] = &[
    ("PORTCULLIS_PORT", "tcp://10.96.14.7:8080"),
    ("PORTCULLIS_SERVICE_HOST", "10.96.14.7"),
    ("PORTCULLIS_SERVICE_PORT", "8080"),
    ("PORTCULLIS_SERVICE_PORT_HTTP", "8080"),
    ("PORTCULLIS_PORT_8080_TCP", "tcp://10.96.14.7:8080"),
    ("PORTCULLIS_PORT_8080_TCP_PROTO", "tcp"),
    ("PORTCULLIS_PORT_8080_TCP_PORT", "8080"),
    ("PORTCULLIS_PORT_8080_TCP_ADDR", "10.96.14.7"),
    ("PORTCULLIS_REDIS_PORT", "tcp://[fd00::7]:6379"),
    ("PORTCULLIS_REDIS_SERVICE_HOST", "fd00::7"),
    ("PORTCULLIS_REDIS_PORT_6379_UDP_ADDR", "fd00::7"),
];

#[test]
fn variables_that_kubernetes_sets_for_a_service_of_our_name_are_no_typing_errors() {
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, text)| (name.into(), text.into())).collect();
    let of = |environment| Sources { environment, ..Sources::default() };
    let all = of(pairs(OF_KUBERNETES));
    assert!(problems(&all).is_empty(), "{:?}", problems(&all));
    // What a person might have meant as a setting is still one that there is not.
    for slip in [("PORTCULLIS_PORT", "8080"), ("PORTCULLIS_PORT_X", "1"), ("PORTCULLIS_REDIS_PORT", "6379")] {
        assert_eq!(problems(&of(pairs(&[slip]))).len(), 1, "{slip:?}");
    }
    // Nobody but Kubernetes sets them: in a file they are slips.
    let folder = Folder::new(&[(".env", "PORTCULLIS_SERVICE_HOST=10.96.14.7\n")]);
    assert_eq!(problems(&folder.sources(&[], &[])).len(), 1);
}

#[test]
fn an_empty_variable_is_an_absent_one_unless_its_setting_can_be_empty() {
    let folder = Folder::new(&[(".env", "PORTCULLIS_LOG_LEVEL=\nPORTCULLIS_DATABASE_URL=\nREDIS_URL=''\n")]);
    let empty = [
        ("PORTCULLIS_REDIS_URL", ""),
        ("PORTCULLIS_SECRET_KEY", ""),
        ("PORTCULLIS_SECRET_KEY_FILE", ""),
        ("PORTCULLIS_CONFIG", ""),
        ("PORTCULLIS_LISTEN", ""),
        ("PORTCULLIS_TRUSTED_PROXIES", ""),
        ("DATABASE_URL", ""),
    ];
    let loaded = load(&folder.sources(&[], &empty)).unwrap();
    let told: Vec<_> = loaded.empty.iter().map(ToString::to_string).collect();
    assert!(told.contains(&"PORTCULLIS_SECRET_KEY".to_owned()) && told.contains(&"REDIS_URL in .env".to_owned()));
    assert_eq!(told.len(), 9, "{told:?}");
    let settings = loaded.settings;
    assert_eq!((settings.redis_url.is_none(), settings.log_level.as_str()), (true, "info"));
    assert!(settings.trusted_proxies.is_empty(), "{:?}", settings.trusted_proxies);
    // A name that nobody knows is one with any value.
    assert_eq!(problems(&folder.sources(&[], &[("PORTCULLIS_LISTNE", "")])).len(), 1);
    // A flag is given as it stands.
    assert_eq!(problems(&folder.sources(&[("listen", "")], &[])).len(), 1);
}

#[test]
fn what_editors_leave_at_the_edges_of_a_file_is_no_part_of_it() {
    let toml = "\u{feff}secret_key_file = 'key'\r\nlog_level = 'warn'\r\n".to_string();
    let folder = Folder::new(&[
        (".env", "\u{feff}PORTCULLIS_REGISTRATION=closed\r\n"),
        ("portcullis.toml", &toml),
        ("key", &format!("\u{feff}{SECRET}\r\n")),
    ]);
    let settings = load(&folder.sources(&[], &[])).unwrap().settings;
    assert_eq!((settings.registration, settings.log_level.as_str()), (Registration::Closed, "warn"));
    let plain = load(&folder.sources(&[("secret_key", SECRET)], &[])).unwrap().settings;
    let derived = |settings: &Settings| settings.secret_key.as_ref().unwrap().derive("x");
    assert_eq!(derived(&settings), derived(&plain));
    // Notepad's "Unicode".
    std::fs::write(folder.0.join(".env"), [0xff, 0xfe, b'A', 0]).unwrap();
    let told = problems(&folder.sources(&[], &[]));
    assert!(told[0].contains("UTF-8"), "{told:?}");
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_known_one() {
    let folder = Folder::new(&[
        (".env", "PORTCULLIS_LOG_LEVLE=info\n"),
        ("portcullis.toml", "publik_url = 'http://a.example'\n[listen_on]\nport = 1\n"),
    ]);
    let told = problems(&folder.sources(
        &[("listn", "x")],
        &[
            ("PORTCULLIS_LISTNE", "x"),
            ("PORTCULLIS_listen", "x"),
            ("PORTCULLIS_LISTEN_FILE", "x"),
            ("PORTCULLI_X", "x"),
        ],
    ));
    assert_eq!(
        told,
        [
            "--listn: is not a setting: did you mean --listen?",
            "PORTCULLIS_LISTNE: is not a setting: did you mean PORTCULLIS_LISTEN?",
            "PORTCULLIS_listen: is not a setting: did you mean PORTCULLIS_LISTEN?",
            "PORTCULLIS_LISTEN_FILE: is not a setting: did you mean PORTCULLIS_LISTEN?",
            "PORTCULLIS_LOG_LEVLE in .env: is not a setting: did you mean PORTCULLIS_LOG_LEVEL?",
            "listen_on in portcullis.toml: is not a setting: did you mean listen?",
            "publik_url in portcullis.toml: is not a setting: did you mean public_url?",
        ]
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let folder =
        Folder::new(&[("portcullis.toml", "log_format = 'xml'\nregistration = true\nsession_idle_timeout = '30h'\n")]);
    let told = problems(&folder.sources(
        &[("listen", "nonsense")],
        &[("PORTCULLIS_PUBLIC_URL", "https://a.example/auth"), ("PORTCULLIS_BOOTSTRAP_ADMIN_EMAIL", "a@b.example")],
    ));
    assert_eq!(told.len(), 7, "{told:#?}");
    for (start, end) in [
        ("listen (--listen): \"nonsense\" can't be used: write ADDRESS:PORT, localhost:PORT", "commas between them"),
        ("public_url (PORTCULLIS_PUBLIC_URL): ", "https://auth.example.org"),
        ("log_format (log_format in portcullis.toml): \"xml\" can't be used: ", "write auto, text or json"),
        ("registration (registration in portcullis.toml): ", "write a text, a number or a list of texts"),
        ("session_idle_timeout (session_idle_timeout in portcullis.toml): 30h is longer than", "raise that"),
        ("bootstrap_admin_username (default): is needed with bootstrap_admin_email", ""),
        ("bootstrap_admin_password (default): is needed with bootstrap_admin_email", ""),
    ] {
        assert!(told.iter().any(|line| line.starts_with(start) && line.ends_with(end)), "{start}: {told:#?}");
    }
}

#[test]
fn shared_names_are_read_where_ours_are_absent_and_before_toml() {
    let toml = ("portcullis.toml", "database_url = 'sqlite://toml.db'\n");
    let folder = Folder::new(&[toml, (".env", "DATABASE_URL=sqlite://shared.env.db\nREDIS_URL=redis://shared.env\n")]);
    let shared: &[_] = &[("DATABASE_URL", "sqlite://shared.db")];
    let database = |environment| shown(&folder.sources(&[], environment), "database_url");
    assert_eq!(database(shared), (Some("sqlite://shared.db".into()), "DATABASE_URL".into()));
    assert_eq!(database(&[]), (Some("sqlite://shared.env.db".into()), "DATABASE_URL in .env".into()));
    assert_eq!(shown(&folder.sources(&[], &[]), "redis_url").1, "REDIS_URL in .env");

    let folder = Folder::new(&[toml, (".env", "PORTCULLIS_DATABASE_URL=sqlite://own.env.db\n")]);
    let shown = shown(&folder.sources(&[], shared), "database_url");
    assert_eq!(shown, (Some("sqlite://own.env.db".into()), "PORTCULLIS_DATABASE_URL in .env".into()));
}

#[test]
fn a_named_toml_file_must_exist_and_lists_may_be_arrays() {
    let folder = Folder::new(&[
        ("other.toml", "trusted_proxies = ['10.0.0.0/8', '::1']\ndatabase_pool = 2\n"),
        (".env", "PORTCULLIS_CONFIG=other.toml\n"),
    ]);
    let sources = folder.sources(&[], &[]);
    assert_eq!(
        shown(&sources, "trusted_proxies"),
        (Some("10.0.0.0/8,::1".into()), "trusted_proxies in other.toml".into())
    );
    let told = problems(&folder.sources(&[("config", "missing.toml")], &[]));
    assert!(
        told.len() == 1 && told[0].starts_with("config (--config): ") && told[0].contains("missing.toml"),
        "{told:?}"
    );
}

#[test]
fn relative_paths_begin_in_the_folder() {
    let folder = Folder::new(&[]);
    let settings = load(&folder.sources(&[("data_dir", "store")], &[])).unwrap().settings;
    assert_eq!(settings.data_dir, folder.0.join("store"));
    assert!(matches!(settings.database_url, DatabaseUrl::Sqlite(path) if path == folder.0.join("store/portcullis.db")));
}

#[test]
fn what_must_hold_together_is_checked() {
    let other = "another-secret-of-at-least-32-bytes-9876543210";
    for (pairs, complaint) in [
        (
            &[("remember_idle_timeout", "91d")][..],
            Some("remember_idle_timeout (--remember-idle-timeout): 91d is longer"),
        ),
        (
            &[("argon2_memory_kib", "8"), ("argon2_lanes", "2")],
            Some("argon2_memory_kib (--argon2-memory-kib): 8 is too"),
        ),
        (&[("jwt_algorithm", "HS256")], Some("jwt_secret (default): is needed with jwt_algorithm HS256")),
        (&[("jwt_secret", SECRET)], Some("jwt_secret (--jwt-secret): is used by jwt_algorithm HS256 alone")),
        (
            &[("jwt_algorithm", "HS256"), ("jwt_secret", SECRET), ("secret_key", SECRET)],
            Some("jwt_secret (--jwt-secret): is the same as secret_key"),
        ),
        (&[("jwt_algorithm", "HS256"), ("jwt_secret", SECRET), ("secret_key", other)], None),
        (&[("metrics_listen", "127.0.0.1:8080")], Some("metrics_listen (--metrics-listen): is the same as listen")),
        (&[("metrics_listen", "127.0.0.1:0"), ("listen", "127.0.0.1:0")], None),
    ] {
        let told = problems(&Sources::of_pairs(pairs));
        match complaint {
            Some(start) => assert!(told.len() == 1 && told[0].starts_with(start), "{pairs:?}: {told:?}"),
            None => assert!(told.is_empty(), "{pairs:?}: {told:?}"),
        }
    }
}

#[test]
fn the_first_administrator_is_described_by_three_settings() {
    let sources = Sources::of_pairs(&[
        ("bootstrap_admin_username", "root"),
        ("bootstrap_admin_email", "root@example.org"),
        ("bootstrap_admin_password", SECRET),
    ]);
    assert_eq!(load(&sources).unwrap().settings.bootstrap_admin_username.unwrap(), "root");
}

#[test]
fn no_secret_is_shown_in_problems_debug_or_effective_values() {
    let secrets: &[_] = &[
        ("secret_key", SECRET),
        ("jwt_secret", "correct-horse-of-tokens-0123456789-0123456789"),
        ("jwt_algorithm", "HS256"),
        ("database_url", "postgres://u:correct-horse@h/n?password=correct-horse"),
        ("redis_url", "redis-cluster://u:correct-horse@a:1,b:2"),
        ("bootstrap_admin_username", "root"),
        ("bootstrap_admin_email", "root@example.org"),
        ("bootstrap_admin_password", "correct-horse-battery"),
    ];
    let loaded = load(&Sources::of_pairs(secrets)).unwrap();
    assert!(!format!("{loaded:?}").contains("correct-horse"), "{loaded:?}");

    let folder = Folder::new(&[
        (".env", "PORTCULLIS_LISTEN=127.0.0.1:1\nPORTCULLIS_SECRET_KEY=\"correct-horse\nPORTCULLIS_X\n"),
        ("portcullis.toml", "jwt_secret = correct-horse\n"),
    ]);
    let told = problems(&folder.sources(
        &[
            ("secret_key", "correct-horse"),
            ("database_url", "postgres://u:correct-horse@h:x"),
            ("redis_url", "correct-horse"),
        ],
        &[("PORTCULLIS_BOOTSTRAP_ADMIN_PASWORD", "correct-horse")],
    ));
    assert!(told.len() >= 6, "{told:#?}");
    assert!(!told.iter().any(|line| line.contains("correct-horse")), "{told:#?}");
}

#[cfg(unix)]
#[test]
fn a_secret_in_a_file_that_others_can_read_is_refused() {
    let folder = Folder::new(&[("portcullis.toml", &format!("secret_key = '{SECRET}'\n")), ("key", SECRET)]);
    let sources = folder.sources(&[], &[]);
    assert!(problems(&sources).is_empty());
    set_mode(&folder.0.join("portcullis.toml"), 0o644);
    let told = problems(&sources);
    assert!(told.len() == 1 && told[0].contains("chmod 600") && !told[0].contains(SECRET), "{told:?}");
    // A file that holds nothing else is how containers hand over secrets.
    std::fs::remove_file(folder.0.join("portcullis.toml")).unwrap();
    set_mode(&folder.0.join("key"), 0o444);
    assert!(problems(&folder.sources(&[("secret_key_file", "key")], &[])).is_empty());
}

#[test]
fn a_name_given_twice_in_dot_env_and_a_broken_line_are_told() {
    let folder =
        Folder::new(&[(".env", "PORTCULLIS_LISTEN=127.0.0.1:1\nPORTCULLIS_LISTEN=127.0.0.1:2\n\nnot a line\n")]);
    let told = problems(&folder.sources(&[], &[]));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains(".env: line 4 is not NAME=value"), "{told:?}");
    assert_eq!(told[1], "listen (PORTCULLIS_LISTEN in .env): is given twice: keep one");
}

#[test]
fn every_flag_is_known_after_every_subcommand() {
    let command = flags::add(clap::Command::new("portcullis").subcommand(clap::Command::new("serve")));
    let matches = command
        .try_get_matches_from([
            "portcullis",
            "--listen",
            "127.0.0.1:1",
            "serve",
            "--secret-key-file=k",
            "--config",
            "c",
        ])
        .unwrap();
    let given = flags::given(&matches);
    let expected = [("listen", "127.0.0.1:1"), ("secret_key_file", "k"), ("config", "c")];
    assert_eq!(given, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}
