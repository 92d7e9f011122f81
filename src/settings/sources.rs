//! Where settings come from. Everything is handed in, so that nothing here touches the process but the files it names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::declaration::DECLARATION;
use super::dot_env;
use super::layer::{Kind, Layer, Value};
use super::problem::SettingProblem;
use super::source::{CONFIG, PREFIX, Source};
use super::text_file;

const DEFAULT_CONFIG: &str = "portcullis.toml";
/// Variables that other programs use as well: read where ours are absent.
const SHARED: &[(&str, &str)] = &[("DATABASE_URL", "database_url"), ("REDIS_URL", "redis_url")];

/// All that settings are made from.
#[derive(Clone, Default)]
pub struct Sources {
    /// Key (or `key_file`, or `config`) and value, as the command line gave them.
    pub flags: Vec<(String, String)>,
    pub environment: Vec<(OsString, OsString)>,
    /// Where `.env` and `portcullis.toml` are looked for, and where relative paths begin. `None`: neither file is
    /// looked for, and relative paths begin in the working folder.
    pub folder: Option<PathBuf>,
}

impl Sources {
    /// Those of this process, with the flags that the command line gave.
    pub fn of_process(flags: Vec<(String, String)>) -> Self {
        Self { flags, environment: std::env::vars_os().collect(), folder: Some(PathBuf::new()) }
    }

    /// Nothing but these keys and values, as if they were flags.
    pub fn of_pairs(pairs: &[(&str, &str)]) -> Self {
        let flags = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { flags, ..Self::default() }
    }

    /// The path as seen from the folder.
    pub(super) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.as_deref().unwrap_or(Path::new("")).join(path)
    }
}

/// All layers, those that win first. Problems with reading them are told beside.
///
/// Flags, then our names in the environment and in `.env`; then, in the same order, the names shared with other
/// programs; then TOML.
pub fn layers(sources: &Sources, problems: &mut Vec<SettingProblem>) -> Vec<Layer> {
    let mut flags = Layer::new(Kind::Flags, None);
    for (key, text) in &sources.flags {
        flags.put(key.clone(), flags.kind.spelling(key), text.clone(), problems);
    }
    let (mut environment, shared_environment) =
        variables(Kind::Environment, None, environment(sources, problems), problems);
    let file = sources.folder.is_some().then(|| sources.path(".env"));
    let pairs = file.as_deref().map(|file| dot_env(file, problems)).unwrap_or_default();
    let (mut dot_env, shared_dot_env) = variables(Kind::DotEnv, file, pairs, problems);
    let config =
        [&mut flags, &mut environment, &mut dot_env].map(|layer| layer.take(CONFIG)).into_iter().flatten().next();
    let toml = toml(sources, config, problems);
    vec![flags, environment, dot_env, shared_environment, shared_dot_env, toml]
}

/// The variables of this process that concern settings.
fn environment(sources: &Sources, problems: &mut Vec<SettingProblem>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, text) in &sources.environment {
        let Some(name) = name.to_str().filter(|name| concerns_us(name)) else { continue };
        match text.to_str() {
            Some(text) if is_of_kubernetes(name, text) => {}
            Some(text) => pairs.push((name.to_owned(), text.to_owned())),
            None => problems.push(SettingProblem::new(
                &name.trim_start_matches(PREFIX).to_ascii_lowercase(),
                Source::Environment(name.to_owned()),
                "is not UTF-8: write it in UTF-8",
            )),
        }
    }
    pairs
}

fn concerns_us(name: &str) -> bool {
    name.starts_with(PREFIX) || SHARED.iter().any(|(shared, _)| *shared == name)
}

/// Whether Kubernetes sets this variable, by which every pod of a namespace is told of a service there that is called
/// `portcullis`, or `portcullis-redis`. No setting has such a name and value.
fn is_of_kubernetes(name: &str, text: &str) -> bool {
    let (is_number, protocols) = (|text: &str| text.parse::<u16>().is_ok(), ["TCP", "UDP", "SCTP"]);
    let is_service = name.ends_with("_SERVICE_HOST")
        || (is_number(text) && (name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_")));
    let is_address = |name: &str| {
        let Some((_, rest)) = name.rsplit_once("_PORT_") else { return false };
        let mut words = rest.split('_');
        words.next().is_some_and(is_number) && words.next().is_some_and(|protocol| protocols.contains(&protocol))
    };
    let base = ["_PROTO", "_PORT", "_ADDR"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let is_link = name.ends_with("_PORT")
        && text
            .split_once("://")
            .is_some_and(|(scheme, _)| protocols.iter().any(|protocol| protocol.eq_ignore_ascii_case(scheme)));
    is_service || is_link || is_address(base) || is_address(name)
}

/// The layer of our own names, and that of the shared ones. An empty variable is an absent one, unless its setting can
/// be empty: that is how files of compose and of units leave a variable out.
fn variables(
    kind: Kind,
    file: Option<PathBuf>,
    pairs: Vec<(String, String)>,
    problems: &mut Vec<SettingProblem>,
) -> (Layer, Layer) {
    let (mut own, mut shared) = (Layer::new(kind.clone(), file.clone()), Layer::new(kind.clone(), file));
    for (name, text) in pairs {
        if let Some((_, key)) = SHARED.iter().find(|(shared, _)| *shared == name) {
            shared.values.insert((*key).to_owned(), Value { source: kind.source(name), text });
        } else if let Some(rest) = name.strip_prefix(PREFIX) {
            // Names are upper-case; another spelling is as unknown as another word.
            let is_upper = !rest.bytes().any(|byte| byte.is_ascii_lowercase());
            let key = if is_upper { rest.to_ascii_lowercase() } else { name.clone() };
            own.put(key, name, text, problems);
        }
    }
    let can_be_empty = |key: &str| DECLARATION.iter().any(|declared| declared.key == key && (declared.takes)(""));
    for layer in [&mut own, &mut shared] {
        let empty = layer.values.extract_if(.., |key, value| value.text.is_empty() && !can_be_empty(key));
        layer.empty = empty.map(|(_, value)| value.source).collect();
    }
    (own, shared)
}

/// The lines of `.env`, which need not exist.
fn dot_env(file: &Path, problems: &mut Vec<SettingProblem>) -> Vec<(String, String)> {
    let mut tell = |message: String| problems.push(SettingProblem::of_file(file, message));
    let text = match text_file::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tell(format!("can't be read ({error}): make it readable, or remove it"));
            return Vec::new();
        }
    };
    let mut pairs = Vec::new();
    for pair in dot_env::parse(&text) {
        match pair {
            Ok((name, value)) if concerns_us(name) => pairs.push((name.to_owned(), value)),
            Ok(_) => {}
            Err((number, wrong)) => tell(format!("line {number} {wrong}")),
        }
    }
    pairs
}

/// `portcullis.toml`, which need not exist unless it was named.
fn toml(sources: &Sources, config: Option<Value>, problems: &mut Vec<SettingProblem>) -> Layer {
    let name = config.as_ref().map_or(DEFAULT_CONFIG, |value| value.text.as_str()).to_owned();
    let path = sources.path(&name);
    let mut layer = Layer::new(Kind::Toml(name), Some(path.clone()));
    if config.is_none() && sources.folder.is_none() {
        return layer;
    }
    let text = match (text_file::read(&path), config) {
        (Ok(text), _) => text,
        (Err(error), None) if error.kind() == std::io::ErrorKind::NotFound => return layer,
        (Err(error), Some(config)) => {
            let message = format!("{} can't be read ({error}): name a file that exists", path.display());
            problems.push(SettingProblem::new(CONFIG, config.source, message));
            return layer;
        }
        (Err(error), None) => {
            problems.push(SettingProblem::of_file(
                &path,
                format!("can't be read ({error}): make it readable, or remove it"),
            ));
            return layer;
        }
    };
    match text.parse::<toml::Table>() {
        Ok(table) => {
            for (key, value) in table {
                match toml_text(&value) {
                    None if layer.kind.knows(&key) => {
                        let source = layer.kind.source(key.clone());
                        problems.push(SettingProblem::new(&key, source, "write a text, a number or a list of texts"));
                    }
                    text => layer.put(key.clone(), key, text.unwrap_or_default(), problems),
                }
            }
        }
        Err(error) => {
            // Its `Display` repeats the line, which may hold a secret.
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            problems.push(SettingProblem::of_file(&path, format!("line {line} is not TOML: {}", error.message())));
        }
    }
    layer
}

/// The value as the other sources would spell it.
fn toml_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(toml::Value::as_str).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}
