//! The patches by which `tests/histories_can_fail.sh` breaks the protocol, each of which takes minutes: here they are only
//! looked at, so that the script finds none that has become of no use.

use std::fs;
use std::path::Path;

#[test]
fn every_patch_that_breaks_the_protocol_still_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut patches = 0;
    for file in fs::read_dir(root.join("tests/portcullis/histories/patches")).unwrap() {
        let path = file.unwrap().path();
        let patch = fs::read_to_string(&path).unwrap();
        let mut target = None;
        for (header, hunk) in parts(&patch) {
            target = header.or(target);
            let source = fs::read_to_string(root.join(target.expect("the name of a file"))).unwrap();
            assert!(source.contains(&hunk), "{}: this is not there:\n{hunk}", path.display());
            patches += 1;
        }
    }
    assert!(patches >= 5, "{patches}");
}

/// Each hunk as it is before, and the file that is named above it.
fn parts(patch: &str) -> Vec<(Option<&str>, String)> {
    let mut parts = Vec::new();
    let mut name = None;
    for line in patch.lines() {
        if let Some(file) = line.strip_prefix("--- a/") {
            name = Some(file);
        } else if line.starts_with("@@ ") {
            parts.push((name.take(), String::new()));
        } else if let (Some((_, hunk)), None) = (parts.last_mut(), name)
            && let Some(rest) = line.strip_prefix([' ', '-'])
        {
            hunk.push_str(rest);
            hunk.push('\n');
        }
    }
    parts
}
