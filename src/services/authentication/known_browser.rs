//! Browsers in which somebody has signed in to an account before.

use crate::domain::User;
use crate::domain::audit::Client;
use crate::domain::device_cookie::{DeviceCookie, KnownBrowser};
use crate::domain::keys::RootKey;

/// The cookie that makes this browser known to the account, which has just signed in there or chosen its password,
/// and keeps it known to others.
pub fn cookie(root_key: &RootKey, user: &User, client: &Client) -> DeviceCookie {
    let key = device_key(root_key);
    let mut browser = earlier_sign_ins(root_key, client).unwrap_or_else(KnownBrowser::fresh);
    browser.remember(user, &key);
    browser.cookie(&key)
}

/// The client, where it is a browser that the account knows.
pub(super) fn recognize(root_key: &RootKey, user: &User, client: &Client) -> Option<KnownBrowser> {
    earlier_sign_ins(root_key, client).filter(|browser| browser.is_known_to(user, &device_key(root_key)))
}

/// The client as a browser in which people have signed in before.
pub(super) fn earlier_sign_ins(root_key: &RootKey, client: &Client) -> Option<KnownBrowser> {
    KnownBrowser::read(client.device_cookie.as_ref()?, &device_key(root_key))
}

fn device_key(root_key: &RootKey) -> [u8; 32] {
    root_key.derive("device")
}
