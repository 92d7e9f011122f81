//! The folder of what this process keeps itself: the SQLite file and the generated key.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::StartupFailure;
use crate::domain::keys::RootKey;
use crate::settings::{DatabaseUrl, Settings};

/// Makes the folder where it is missing, readable for its owner alone, and refuses another user's: what this process
/// writes there, the server could not open afterwards.
pub(super) fn prepare(settings: &Settings) -> Result<(), StartupFailure> {
    let folder = settings.data_dir.as_path();
    let shown = folder.display();
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        StartupFailure::configuration(format!(
            "can't make the data folder {shown}: {error}; set data_dir to a folder, or to where one can be made"
        ))
    })?;
    let owner = fs::metadata(folder).map_err(|error| unusable(folder, &error))?.uid();
    let own = rustix::process::geteuid().as_raw();
    if own != owner {
        return Err(StartupFailure::configuration(format!(
            "the data folder {shown} belongs to another user (uid {owner}, this is uid {own}); run it as that user, \
             for example with sudo -u '#{owner}'"
        )));
    }
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    fs::write(&probe, []).and_then(|()| fs::remove_file(&probe)).map_err(|error| unusable(folder, &error))?;
    if let DatabaseUrl::Sqlite(path) = &settings.database_url {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(|error| unusable(parent, &error))?;
        }
        // SQLite gives the files beside it the same mode. A folder that was there before may be open to others.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(|error| unusable(path, &error))?;
    }
    Ok(())
}

fn unusable(folder: &Path, error: &std::io::Error) -> StartupFailure {
    let shown = folder.display();
    StartupFailure::configuration(format!(
        "can't write to the data folder {shown}: {error}; set data_dir to one that can be"
    ))
}

/// The generated `secret_key`, made at the first start: 32 random bytes as base64url, mode 0600.
pub(super) fn secret_key(folder: &Path) -> Result<RootKey, StartupFailure> {
    let path = folder.join("secret_key");
    let shown = path.display();
    let failed = |error: std::io::Error| {
        StartupFailure::configuration(format!(
            "can't read or make {shown}: {error}; let this user read and write it, restore it from a backup, or set \
             secret_key"
        ))
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Written beside and linked into place: of two processes that start at once one makes the key, and the
            // other never reads half of one.
            let fresh = folder.join(format!(".secret_key-{}", std::process::id()));
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
            let key = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
            file.write_all(key.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
            let linked = fs::hard_link(&fresh, &path);
            fs::remove_file(&fresh).map_err(failed)?;
            match linked {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
                _ => fs::read_to_string(&path).map_err(failed)?,
            }
        }
        Err(error) => return Err(failed(error)),
    };
    let mode = fs::metadata(&path).map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StartupFailure::configuration(format!(
            "{shown} can be read by others (mode {mode:o}); run: chmod 600 {shown}"
        )));
    }
    if text.trim().len() < 32 {
        return Err(StartupFailure::configuration(format!(
            "{shown} is shorter than 32 bytes; restore it from a backup"
        )));
    }
    Ok(RootKey::new(text.trim().as_bytes().to_vec()))
}
