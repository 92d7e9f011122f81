//! Whose the data folder is.

use std::path::Path;

use super::Failure;

/// Refuses a data folder of another user: files that this one makes there could not be opened by the server. A folder
/// that does not exist yet is fine.
#[cfg(unix)]
pub fn check_owner(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::metadata(folder) {
        Ok(metadata) => check(folder, metadata.uid(), rustix::process::geteuid().as_raw()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::Failed(format!(
            "the data folder {} can't be looked at ({error}): set data_dir to a folder of this user",
            folder.display()
        ))),
    }
}

#[cfg(not(unix))]
pub fn check_owner(_: &Path) -> Result<(), Failure> {
    Ok(())
}

#[cfg(unix)]
fn check(folder: &Path, owner: u32, user: u32) -> Result<(), Failure> {
    if owner == user {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "the data folder {} belongs to user {owner}, and this is user {user}: run it as that user \
         (`sudo -u '#{owner}' portcullis …`), or set data_dir to another folder",
        folder.display()
    )))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_another_user_is_refused_and_a_missing_one_is_not() {
        assert!(check(Path::new("data"), 1000, 1000).is_ok());
        let said = check(Path::new("data"), 1000, 0).map_err(|failure| failure.to_string());
        assert!(said.is_err_and(|said| said.contains("belongs to user 1000") && said.contains("sudo -u '#1000'")));
        assert!(check_owner(Path::new("/nonexistent/portcullis")).is_ok());
    }
}
