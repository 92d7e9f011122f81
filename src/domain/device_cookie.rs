//! The cookie by which a browser is known to an account (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
//!
//! Whoever fails to sign in under a name locks it for every stranger. A browser in which the account's owner has signed
//! in before has a count of its own, so that a stranger can't lock the owner out there. The cookie opens nothing: with
//! a stolen one somebody has as many guesses as without, once more. A changed password makes all earlier ones
//! worthless, or someone who knew the old one could have collected a purse of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::keys::mac;
use super::{User, UserId};

/// The cookie's value: `user.browser.HMAC`.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceCookie(String);

impl DeviceCookie {
    /// What a browser sent.
    pub fn of_value(value: &str) -> Self {
        Self(value.to_owned())
    }

    /// For the `Set-Cookie` header alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for DeviceCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceCookie(…)")
    }
}

/// A browser in which the account's owner has signed in before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownBrowser {
    pub user_id: UserId,
    /// Random, so that no two browsers share a count.
    pub id: [u8; 16],
}

impl KnownBrowser {
    /// A browser in which this account signs in for the first time.
    pub fn new(user: &User) -> Self {
        Self { user_id: user.id, id: rand::random() }
    }

    /// What the cookie says, if it was made with `key` for this account and its present password.
    pub fn read(cookie: &DeviceCookie, user: &User, key: &[u8; 32]) -> Option<Self> {
        let mut parts = cookie.0.split('.');
        let user_id: UserId = parts.next()?.parse().ok()?;
        let id = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?.try_into().ok()?;
        let sent = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        let browser = Self { user_id, id };
        let right: bool = browser.mac(user, key).ct_eq(sent.as_slice()).into();
        (right && user_id == user.id && parts.next().is_none()).then_some(browser)
    }

    /// The cookie that [`KnownBrowser::read`] reads until the account's password changes.
    pub fn cookie(&self, user: &User, key: &[u8; 32]) -> DeviceCookie {
        let (id, mac) = (URL_SAFE_NO_PAD.encode(self.id), URL_SAFE_NO_PAD.encode(self.mac(user, key)));
        DeviceCookie(format!("{}.{id}.{mac}", self.user_id))
    }

    fn mac(&self, user: &User, key: &[u8; 32]) -> [u8; 32] {
        let password_changed_at = user.password_changed_at.map_or(0, |at| at.timestamp_millis());
        mac(key, &[self.user_id.0.as_bytes(), &self.id, &password_changed_at.to_be_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::{Clock, EmailAddress, Role, UserStatus, Username};

    fn user() -> User {
        let now = Clock::default().now();
        User {
            id: UserId::new(now),
            username: Username::from_stored("anna".to_owned()),
            email: EmailAddress::from_stored("anna@example.com".to_owned()),
            name: None,
            role: Role::User,
            status: UserStatus::Active,
            epoch: 1,
            created_at: now,
            has_password: true,
            password_changed_at: Some(now),
            last_sign_in_at: None,
        }
    }

    const KEY: &[u8; 32] = &[7; 32];

    #[test]
    fn a_cookie_is_good_for_its_account_until_the_password_changes() {
        let (anna, other) = (user(), user());
        let browser = KnownBrowser::new(&anna);
        let cookie = browser.cookie(&anna, KEY);
        assert_eq!(KnownBrowser::read(&cookie, &anna, KEY), Some(browser));
        assert_eq!(KnownBrowser::read(&cookie, &other, KEY), None);
        assert_eq!(KnownBrowser::read(&cookie, &anna, &[8; 32]), None);
        let changed_at = anna.password_changed_at.map(|at| at + TimeDelta::seconds(1));
        assert_eq!(KnownBrowser::read(&cookie, &User { password_changed_at: changed_at, ..anna }, KEY), None);
    }

    #[test]
    fn a_bent_cookie_is_none() {
        let anna = user();
        let good = KnownBrowser::new(&anna).cookie(&anna, KEY).reveal().to_owned();
        for place in 0..good.len() {
            let mut bent = good.clone().into_bytes();
            bent[place] = if bent[place] == b'A' { b'B' } else { b'A' };
            let bent = DeviceCookie::of_value(&String::from_utf8(bent).unwrap());
            assert_eq!(KnownBrowser::read(&bent, &anna, KEY), None, "{}", bent.reveal());
        }
        for bent in ["", ".", "..", "...", &good[..good.len() - 1], &format!("{good}."), &good.replace('.', "")] {
            assert_eq!(KnownBrowser::read(&DeviceCookie::of_value(bent), &anna, KEY), None, "{bent}");
        }
    }

    #[test]
    fn it_does_not_print() {
        let anna = user();
        let cookie = KnownBrowser::new(&anna).cookie(&anna, KEY);
        assert_eq!(format!("{cookie:?}"), "DeviceCookie(…)");
    }
}
