//! Files that people write: read as text, whatever their editor left at the edges.

use std::io;
use std::path::Path;

/// The text of a file, without the byte order mark with which editors of Windows begin one.
///
/// # Errors
/// One that names the encoding where the file is not UTF-8, as UTF-16 is not.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let text = String::from_utf8(std::fs::read(path)?);
    let text = text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8: save it in UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
