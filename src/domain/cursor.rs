//! Where a list goes on, as clients see it: opaque, and no other than what this installation wrote for that list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::keys::{RootKey, mac};

/// Bytes of the authentication: HMAC-SHA-256, truncated (RFC 2104, section 5).
const TAG: usize = 16;
/// Characters of the shortest cursor: what authenticates it, and a position of one byte, in base64.
pub const MIN_LENGTH: usize = ((TAG + 1) * 4).div_ceil(3);

/// Writes and reads cursors.
pub struct Cursors([u8; 32]);

impl Cursors {
    pub fn new(root: &RootKey) -> Self {
        Self(root.derive("cursor"))
    }

    /// The cursor for `position` in `list`, which names the list with its order and filters.
    pub fn write(&self, list: &str, position: &str) -> String {
        URL_SAFE_NO_PAD.encode([&self.tag(list, position.as_bytes()), position.as_bytes()].concat())
    }

    /// The position; `None` for a cursor that is forged, or of another list.
    pub fn read(&self, list: &str, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, position) = bytes.split_at_checked(TAG)?;
        let right: bool = tag.ct_eq(&self.tag(list, position)).into();
        right.then(|| String::from_utf8(position.to_vec()).ok())?
    }

    fn tag(&self, list: &str, position: &[u8]) -> [u8; TAG] {
        let length = (list.len() as u64).to_be_bytes();
        let mac = mac(&self.0, &[&length, list.as_bytes(), position]);
        std::array::from_fn(|index| mac[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors(byte: u8) -> Cursors {
        Cursors::new(&RootKey::new(vec![byte; 32]))
    }

    #[test]
    fn a_cursor_is_read_back_for_its_own_list_only() {
        let cursor = cursors(1).write("users username", "ada");
        assert_eq!(cursors(1).read("users username", &cursor).as_deref(), Some("ada"));
        assert_eq!(cursors(1).read("users -username", &cursor), None);
        assert_eq!(cursors(1).read("users usernamea", &cursor), None);
        assert_eq!(cursors(2).read("users username", &cursor), None);
    }

    #[test]
    fn a_cursor_that_nobody_wrote_is_none() {
        let cursor = cursors(1).write("users", "ada");
        let mut bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            assert_eq!(cursors(1).read("users", &URL_SAFE_NO_PAD.encode(&bytes)), None, "byte {index}");
            bytes[index] ^= 1;
        }
        for forged in ["", "x", "AAAA", "é", &cursor[1..], &format!("{cursor}="), &URL_SAFE_NO_PAD.encode([0; 16])] {
            assert_eq!(cursors(1).read("users", forged), None, "{forged}");
        }
    }
}
