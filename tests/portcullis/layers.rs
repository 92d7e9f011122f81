//! The layers of the code, as the documentation of the crate lists them, and the subjects within them: no file needs one
//! that needs it, no layer one above it, and no subject one that is built on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What each top module may use beside itself, from the bottom up.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("settings", &["domain"]),
    ("telemetry", &["settings"]),
    ("storage", &["domain", "settings", "telemetry"]),
    ("services", &["domain", "settings", "telemetry", "storage"]),
    ("representations", &["domain", "services"]),
    ("http", &["domain", "settings", "telemetry", "services"]),
    ("web", &["domain", "settings", "services", "representations", "http"]),
    ("api", &["domain", "settings", "services", "representations", "http"]),
    ("routes", &["domain", "services", "http", "web", "api"]),
    ("startup", &["domain", "settings", "telemetry", "storage", "services", "http", "web", "api", "routes"]),
    ("cli", &["domain", "settings", "telemetry", "services", "representations", "startup"]),
];

/// Where each subject has a folder, and which others it may use there.
const ROOMS: &[&str] = &["services", "storage", "web", "api"];
const SUBJECTS: &[(&str, &[&str])] = &[
    ("authorization", &[]),
    ("audit", &["authorization"]),
    ("sessions", &["authorization"]),
    ("authentication", &["authorization", "sessions"]),
    ("accounts", &["authorization", "audit", "sessions", "authentication"]),
    ("administration", &["authorization", "audit", "sessions", "authentication", "accounts"]),
    ("maintenance", &["authorization", "audit", "sessions", "authentication", "accounts", "administration"]),
];
/// Tells for which act the password is asked for again, in the words of that act.
const KNOWS_ALL_ACTS: &str = "web::authentication::reauth_purpose";

/// Source files by their module path, as `domain::email`; the crate's root is "".
type Sources = BTreeMap<String, String>;

#[test]
fn no_file_needs_one_that_needs_it_and_no_layer_one_above() {
    let faults = faults(&sources());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_circle_and_an_import_upwards_are_found() {
    let patched = |file: &str, line: &str| {
        let mut sources = sources();
        let text = sources.get_mut(file).expect("the file");
        *text = format!("{line}\n{text}");
        faults(&sources)
    };
    let circle = patched("domain::name_key", "use super::{EmailAddress, FieldError};");
    assert_eq!(circle, ["a circle: domain::email, domain::name_key"]);
    let renamed = patched("domain::clock", "pub fn x() -> Option<super::access_token::AccessClaims> { None }");
    assert!(renamed[0].starts_with("a circle: ") && renamed[0].contains("domain::clock"), "{renamed:?}");
    let upwards =
        patched("storage::accounts::users", "use crate::{\n    domain::Role,\n    services::{Services, Result},\n};");
    assert!(upwards.contains(&"storage::accounts::users uses services".to_owned()), "{upwards:?}");
    let subject = patched("services::sessions::tokens", "use crate::services::authentication::lockout;");
    assert_eq!(subject, ["services::sessions::tokens uses services::authentication::lockout"]);
    let stored = patched("storage::sessions::rows", "use crate::storage::accounts::links;");
    assert_eq!(stored, ["storage::sessions::rows uses storage::accounts::links"]);
    // What only tests use, and what a comment says, are no imports.
    assert!(patched("domain::clock", "/// See [`crate::services`].\n// use crate::services;").is_empty());
}

fn sources() -> Sources {
    let mut sources = Sources::new();
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), "", &mut sources);
    sources
}

fn collect(folder: &Path, module: &str, sources: &mut Sources) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let inner = if module.is_empty() { stem.clone() } else { format!("{module}::{stem}") };
        if path.is_dir() {
            collect(&path, &inner, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") && stem != "tests" && stem != "main" {
            let name = if matches!(stem.as_str(), "mod" | "lib") { module.to_owned() } else { inner };
            sources.insert(name, std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// What is wrong, in words.
fn faults(sources: &Sources) -> Vec<String> {
    let code: Sources = sources.iter().map(|(module, text)| (module.clone(), code_of(text))).collect();
    // Whom a file needs in the end, and which layers it names: a layer may hand on what it has from below.
    let mut imports: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut named: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (module, text) in &code {
        let paths = paths(module, text);
        let files = paths.iter().filter_map(|path| file_of(path, &code));
        imports.insert(module, files.filter(|file| !is_within(file, module) && !is_within(module, file)).collect());
        named.insert(
            module,
            paths.iter().map(|path| top(path).to_owned()).filter(|top| code.contains_key(top)).collect(),
        );
    }
    let mut faults: Vec<_> =
        circles(&imports).into_iter().map(|circle| format!("a circle: {}", circle.join(", "))).collect();
    for (module, used) in &named {
        let layer = top(module);
        let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            faults.extend((!layer.is_empty()).then(|| format!("{layer} is in no layer")));
            continue;
        };
        let above = used.iter().filter(|used| *used != layer && !below.contains(&used.as_str()));
        faults.extend(above.map(|used| format!("{module} uses {used}")));
    }
    for (module, files) in imports.iter().filter(|(module, _)| **module != KNOWS_ALL_ACTS) {
        let Some((layer, (subject, below))) = room(module) else { continue };
        let others = files.iter().filter(|file| {
            room(file).is_some_and(|(of, (other, _))| of == layer && other != subject && !below.contains(&other))
        });
        faults.extend(others.map(|file| format!("{module} uses {file}")));
    }
    faults
}

/// The layer and the subject of a file that stands in a room.
fn room(module: &str) -> Option<(&str, (&str, &[&str]))> {
    let (layer, rest) = module.split_once("::").filter(|(layer, _)| ROOMS.contains(layer))?;
    let (subject, below) = SUBJECTS.iter().find(|(subject, _)| *subject == top(rest))?;
    Some((layer, (subject, below)))
}

fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// A module and what is within it are one.
fn is_within(inner: &str, outer: &str) -> bool {
    outer.is_empty() || inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with("::"))
}

/// Without comments and without the tests, which stand at the end of a file or in one of their own.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path of the crate that the code names, absolute.
fn paths(module: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["crate", "super", "self"] {
        for (at, _) in code.match_indices(&format!("{root}::")) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':')) {
                continue;
            }
            // `self` and `super` of a file that is a module of its own folder.
            let mut base: Vec<&str> = match root {
                "crate" => Vec::new(),
                _ => module.split("::").filter(|part| !part.is_empty()).collect(),
            };
            if root == "super" {
                base.pop();
            }
            let mut rest = &code[at + root.len() + 2..];
            while let Some(after) = rest.strip_prefix("super::") {
                base.pop();
                rest = after;
            }
            tree(&base.join("::"), rest, &mut found);
        }
    }
    // What a module says of those within it without a prefix, as in `pub use child::Name`.
    for statement in code.split("use ").skip(1) {
        let statement = statement.split(';').next().unwrap_or_default();
        if !["crate", "super", "self", "std"].iter().any(|root| statement.starts_with(&format!("{root}::"))) {
            tree(module, statement, &mut found);
        }
    }
    found
}

/// The paths of `a::{b, c::{d as e}}` below `base`.
fn tree(base: &str, text: &str, found: &mut Vec<String>) -> usize {
    let text_start = text.len();
    let mut text = text.trim_start();
    let mut path = base.to_owned();
    loop {
        if let Some(mut inner) = text.strip_prefix('{') {
            loop {
                inner = inner.trim_start();
                if inner.is_empty() || inner.starts_with('}') {
                    return text_start - inner.len() + 1;
                }
                let read = tree(&path, inner, found);
                inner = inner.get(read..).unwrap_or_default().trim_start();
                if let Some(alias) = inner.strip_prefix("as ") {
                    inner = alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').trim_start();
                }
                inner = inner.strip_prefix(',').unwrap_or(inner);
            }
        }
        let length = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        let (name, rest) = text.split_at(length);
        if name != "self" && !name.is_empty() {
            path = if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") };
        }
        match rest.strip_prefix("::") {
            Some(rest) if !rest.starts_with('<') => text = rest,
            _ => {
                found.push(path);
                let star = usize::from(rest.starts_with('*'));
                return text_start - rest.len() + star;
            }
        }
    }
}

/// The file in which a path leads to something: through what modules hand on from others.
fn file_of(path: &str, code: &Sources) -> Option<String> {
    let parts: Vec<_> = path.split("::").collect();
    let length = (0..=parts.len()).rev().find(|&length| code.contains_key(&parts[..length].join("::")))?;
    let module = parts[..length].join("::");
    let Some(name) = parts.get(length) else { return Some(module) };
    let handed_on = handed_on(&module, &code[&module]);
    match handed_on.iter().find(|handed| handed.rsplit("::").next() == Some(name)) {
        Some(handed) if *handed != path => file_of(handed, code),
        _ => Some(module),
    }
}

/// What a module takes from others under its own name, as `pub use name_key::NameKey` does.
fn handed_on(module: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let line = code[..at].rsplit('\n').next().unwrap_or_default();
        if !line.trim_start().starts_with("pub") {
            continue;
        }
        let statement = code[at + 4..].split(';').next().unwrap_or_default();
        match statement.split_once("::") {
            Some(("crate", rest)) => _ = tree("", rest, &mut found),
            Some(("self", rest)) => _ = tree(module, rest, &mut found),
            Some(("super", rest)) => {
                let above = module.rsplit_once("::").map_or("", |(above, _)| above);
                _ = tree(above, rest, &mut found);
            }
            _ => _ = tree(module, statement, &mut found),
        }
    }
    found
}

/// Groups of files of which each needs all others, in the end.
fn circles(imports: &BTreeMap<&str, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reach = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from.to_owned()];
        while let Some(file) = next.pop() {
            for used in imports.get(file.as_str()).into_iter().flatten() {
                if seen.insert(used.clone()) {
                    next.push(used.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = imports.keys().map(|file| (*file, reach(file))).collect();
    let mut circles = BTreeSet::new();
    for (file, beyond) in &reached {
        if beyond.contains(*file) {
            let circle: Vec<_> =
                beyond.iter().filter(|other| reached[other.as_str()].contains(*file)).cloned().collect();
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}
