//! Browsers in which somebody has signed in to an account before.

use crate::domain::User;
use crate::domain::audit::Client;
use crate::domain::device_cookie::{DeviceCookie, KnownBrowser};
use crate::services::Services;

impl Services {
    /// The cookie that makes this browser known to the account, which has just signed in there or chosen its password,
    /// and keeps it known to others.
    pub fn device_cookie(&self, user: &User, client: &Client) -> DeviceCookie {
        let key = self.device_key();
        let mut browser = earlier_sign_ins(client, &key).unwrap_or_else(KnownBrowser::fresh);
        browser.remember(user, &key);
        browser.cookie(&key)
    }

    pub(in crate::services) fn known_browser(&self, user: &User, client: &Client) -> Option<KnownBrowser> {
        let key = self.device_key();
        earlier_sign_ins(client, &key).filter(|browser| browser.is_known_to(user, &key))
    }

    pub(in crate::services) fn device_key(&self) -> [u8; 32] {
        self.root_key.derive("device")
    }
}

/// The client as a browser in which people have signed in before.
pub(in crate::services) fn earlier_sign_ins(client: &Client, key: &[u8; 32]) -> Option<KnownBrowser> {
    KnownBrowser::read(client.device_cookie.as_ref()?, key)
}
