//! Where a list goes on, as clients see it: opaque, and no other than what this installation wrote for that list.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::error::Error;
use super::field::FieldError;
use super::keys::{RootKey, mac};

/// Bytes of the authentication: HMAC-SHA-256, truncated (RFC 2104, section 5).
const TAG: usize = 16;
/// Characters of the shortest cursor: what authenticates it, and a position of one byte, in base64.
pub const MIN_LENGTH: usize = ((TAG + 1) * 4).div_ceil(3);

/// A list that is told page by page: it writes its cursors, and reads no other.
pub struct PagedList {
    key: [u8; 32],
    name: String,
}

/// A cursor that is forged, or of another list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchCursor;

impl From<NoSuchCursor> for Error {
    fn from(_: NoSuchCursor) -> Self {
        let message = "This is no cursor of this list. Begin at its first page.";
        Self::Invalid(FieldError::new("cursor", "invalid", message).into())
    }
}

impl PagedList {
    /// `name` names the list with its order and filters.
    pub fn new(root: &RootKey, name: String) -> Self {
        Self { key: root.derive("cursor"), name }
    }

    /// The cursor of the page that begins after this place.
    pub fn cursor(&self, place: &impl Display) -> String {
        let place = place.to_string();
        URL_SAFE_NO_PAD.encode([&self.tag(place.as_bytes()), place.as_bytes()].concat())
    }

    /// After which place the page begins; `None`: it is the first.
    pub fn place<P: FromStr>(&self, cursor: Option<&str>) -> Result<Option<P>, NoSuchCursor> {
        cursor.map(|cursor| self.read(cursor)?.parse().ok()).map(|place| place.ok_or(NoSuchCursor)).transpose()
    }

    fn read(&self, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, place) = bytes.split_at_checked(TAG)?;
        let right: bool = tag.ct_eq(&self.tag(place)).into();
        right.then(|| String::from_utf8(place.to_vec()).ok())?
    }

    fn tag(&self, place: &[u8]) -> [u8; TAG] {
        let length = (self.name.len() as u64).to_be_bytes();
        let mac = mac(&self.key, &[&length, self.name.as_bytes(), place]);
        std::array::from_fn(|index| mac[index])
    }
}

/// Cuts rows down to a page, of which one more was read than it holds; says whether others follow.
pub fn cut<R>(rows: &mut Vec<R>, limit: usize) -> bool {
    let others_follow = rows.len() > limit;
    rows.truncate(limit);
    others_follow
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(byte: u8, name: &str) -> PagedList {
        PagedList::new(&RootKey::new(vec![byte; 32]), name.to_owned())
    }

    fn read(list: &PagedList, cursor: &str) -> Result<String, NoSuchCursor> {
        list.place(Some(cursor)).map(|place| place.expect("a page after the first"))
    }

    #[test]
    fn a_cursor_is_read_back_for_its_own_list_only() {
        let cursor = list(1, "users username").cursor(&"ada");
        assert_eq!(read(&list(1, "users username"), &cursor).as_deref(), Ok("ada"));
        assert_eq!(read(&list(1, "users -username"), &cursor), Err(NoSuchCursor));
        assert_eq!(read(&list(1, "users usernamea"), &cursor), Err(NoSuchCursor));
        assert_eq!(read(&list(2, "users username"), &cursor), Err(NoSuchCursor));
        assert_eq!(list(1, "users username").place::<u8>(Some(&cursor)), Err(NoSuchCursor));
        assert_eq!(list(1, "users username").place::<String>(None), Ok(None));
    }

    #[test]
    fn a_cursor_that_nobody_wrote_is_none() {
        let users = list(1, "users");
        let cursor = users.cursor(&"ada");
        let mut bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            assert_eq!(read(&users, &URL_SAFE_NO_PAD.encode(&bytes)), Err(NoSuchCursor), "byte {index}");
            bytes[index] ^= 1;
        }
        for forged in ["", "x", "AAAA", "é", &cursor[1..], &format!("{cursor}="), &URL_SAFE_NO_PAD.encode([0; 16])] {
            assert_eq!(read(&users, forged), Err(NoSuchCursor), "{forged}");
        }
    }
}
