//! `tests/CASES.md`: each case has a test, and each test that it names is there.

use std::collections::BTreeSet;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn each_case_has_a_test_and_each_test_of_the_table_is_there() {
    let tests = tests();
    let table = std::fs::read_to_string(Path::new(ROOT).join("tests/CASES.md")).expect("the table");
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| C") || line.starts_with("| F")).collect();
    assert!(rows.len() > 50, "only {} rows are read", rows.len());
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, case, named] = cells[..] else { panic!("not three cells: {row}") };
        assert!(named.starts_with('`'), "no test for: {case}");
        for name in named.split_whitespace().map(|name| name.trim_matches('`')) {
            assert!(tests.contains(name), "{name} is not there, for: {case}");
        }
    }
}

/// Every test here and in the source, by its name and that of its file, or of the folder of a `mod.rs` or `tests.rs`.
fn tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for folder in ["src", "tests/portcullis"] {
        collect(&Path::new(ROOT).join(folder), &mut tests);
    }
    tests
}

fn collect(folder: &Path, tests: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let stem = path.file_stem().expect("a name");
            let module = if stem == "mod" || stem == "tests" { folder.file_name().expect("a name") } else { stem };
            let text = std::fs::read_to_string(&path).expect("a source");
            tests.extend(names(&text).map(|name| format!("{}::{name}", module.to_string_lossy())));
        }
    }
}

/// The functions that have an attribute of a test.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    text.lines().map(str::trim_start).filter_map(move |line| {
        is_test |= ["#[test]", "#[tokio::test", "#[actix_web::test", "#[rstest]"].iter().any(|at| line.starts_with(at));
        let name = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "))?.split('(').next()?;
        std::mem::take(&mut is_test).then_some(name)
    })
}
