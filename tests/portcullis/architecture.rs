//! `ARCHITECTURE.md` names files that exist.

use std::path::Path;

#[test]
fn every_path_that_the_architecture_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let paths: Vec<_> = document.split('`').skip(1).step_by(2).filter(|text| is_path(text)).collect();
    assert!(paths.len() > 60, "{}", paths.len());
    let missing: Vec<_> = paths.iter().filter(|path| !root.join(path).exists()).collect();
    assert!(missing.is_empty(), "named in ARCHITECTURE.md, and not there: {missing:?}");
}

/// Whether a text in backticks names a file or folder of this repository.
fn is_path(text: &str) -> bool {
    ["src/", "tests/", "docs/", "templates/", "migrations/", "benches/", "static/"]
        .iter()
        .any(|folder| text.starts_with(folder))
}
