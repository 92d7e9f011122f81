//! A folder of its own, gone when its owner is; or one that stays.

use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A new empty folder below the system's temporary one, removed on drop.
pub struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("portcullis-test-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).expect("a temporary folder");
        Self { path, kept: false }
    }
}

/// One that may have been there before, and stays.
impl From<PathBuf> for Folder {
    fn from(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).expect("the folder");
        Self { path, kept: true }
    }
}

impl Deref for Folder {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
